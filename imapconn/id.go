package imapconn

// identify tells the server who we are (RFC 2971), where it offers to hear it:
// some refuse to SELECT before. Nobody waits for the answer.
func (c *Client) identify() error {
	if !c.Caps().Has("ID") {
		return nil
	}
	cmd := c.newCommand("ID")
	cmd.enc.Raw(` ("name" "imapfs")`)
	return c.enqueue([]*command{cmd})
}
