package failure

// Reason says in one word why an entry failed; reports contain it.
type Reason string

// The reasons. They are a contract with programs that read reports.
const (
	ReasonNotFound     Reason = "not_found"
	ReasonDenied       Reason = "denied"
	ReasonUnauthorized Reason = "unauthorized"
	ReasonChecksum     Reason = "checksum"
	ReasonSize         Reason = "size"
	ReasonNetwork      Reason = "network"
	ReasonNoSpace      Reason = "no_space"
	ReasonIO           Reason = "io"
	ReasonUnsafePath   Reason = "unsafe_path"
)
