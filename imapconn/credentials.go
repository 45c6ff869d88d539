package imapconn

import "log/slog"

// Credentials are what a user proves an identity with. Where Token is set it is
// an OAuth 2.0 access token and Password is not used. A Credentials value
// prints and logs without its secrets.
type Credentials struct {
	User     string
	Password string
	Token    string
}

// String names the user only.
func (c Credentials) String() string { return c.User + " (secrets withheld)" }

// GoString names the user only, for %#v.
func (c Credentials) GoString() string { return "imapconn.Credentials{" + c.String() + "}" }

// LogValue names the user only, for slog.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }
