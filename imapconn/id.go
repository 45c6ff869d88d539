package imapconn

// idCommands tell the server who we are (RFC 2971), where it offers to hear it:
// some refuse to SELECT before.
func (c *Client) idCommands() []*command {
	if !c.Caps().Has("ID") {
		return nil
	}
	cmd := c.newCommand("ID")
	cmd.enc.Raw(` ("name" "imapfs")`)
	return []*command{cmd}
}
