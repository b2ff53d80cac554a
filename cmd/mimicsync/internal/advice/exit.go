package advice

import (
	"mimicsync/downloader/failure"
	"mimicsync/downloader/report"
)

// Exit codes. Scripts depend on them; README documents them.
const (
	ExitOK          = 0
	ExitUnexpected  = 1
	ExitUsage       = 2
	ExitIncomplete  = 3
	ExitAccess      = 4
	ExitIntegrity   = 5
	ExitNoSpace     = 6
	ExitOwned       = 7
	ExitInterrupted = 130
)

// Worse returns the more important of two codes: if several apply it is 6, 4, 5, 3 in that
// order.
func Worse(a, b int) int {
	for _, code := range []int{ExitInterrupted, ExitNoSpace, ExitAccess, ExitIntegrity, ExitIncomplete, ExitOwned, ExitUsage, ExitUnexpected} {
		if a == code || b == code {
			return code
		}
	}
	return ExitOK
}

// ForPass is the code for a pass that ran to its end.
func ForPass(r *report.Report) int {
	code := ExitOK
	for _, f := range r.Failures {
		switch failure.Reason(f.Reason) {
		case failure.ReasonNoSpace:
			code = Worse(code, ExitNoSpace)
		case failure.ReasonDenied, failure.ReasonUnauthorized:
			code = Worse(code, ExitAccess)
		case failure.ReasonChecksum:
			code = Worse(code, ExitIntegrity)
		default:
			code = Worse(code, ExitIncomplete)
		}
	}
	if r.Files.Failed > 0 {
		code = Worse(code, ExitIncomplete)
	}
	return code
}

// ForVerification returns the exit code of a verification.
func ForVerification(v *report.Verification) int {
	switch {
	case v.Wrong > 0:
		return ExitIntegrity
	case v.Failed()+v.Absent > 0:
		return ExitIncomplete
	}
	return ExitOK
}
