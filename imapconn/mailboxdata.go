package imapconn

// ListData is one answer to LIST (RFC 3501 §7.2.2).
type ListData struct {
	Name      string // as on the wire: never decoded, never rebuilt
	Delimiter rune   // 0: NIL, the name has no levels
	Attrs     []string
	OldName   string // what it was called before it was renamed, as on the wire (RFC 5465 §5.4); empty: nothing said
}

// StatusData is the answer to STATUS (RFC 3501 §7.2.4). A value counts only
// where its Has field is set: servers leave items out.
type StatusData struct {
	Mailbox       string
	Messages      uint32
	UIDNext       UID
	UIDValidity   UIDValidity
	Unseen        uint32
	Size          int64 // octets, RFC 8438
	HighestModSeq ModSeq

	HasMessages, HasUIDNext, HasUIDValidity, HasUnseen, HasSize, HasHighestModSeq bool
}

// SelectData is what SELECT or EXAMINE said of the mailbox (RFC 3501 §6.3.1).
type SelectData struct {
	Exists         uint32
	UIDValidity    UIDValidity
	HasUIDValidity bool
	UIDNext        UID      // 0: not said
	Flags          []string // sorted, without \Recent
	PermanentFlags []string // `\*` among them: keywords may be made
	ReadOnly       bool
	HighestModSeq  ModSeq // 0: not said
	NoModSeq       bool   // the mailbox keeps no mod-sequences (RFC 7162 §3.1.2.2)
}

// QuotaData is the STORAGE quota that holds for a mailbox (RFC 9208).
type QuotaData struct {
	Usage, Limit int64 // octets
	HasStorage   bool  // false: no quota on storage is set
}
