package advice

import (
	"errors"
	"strings"

	"mimicsync/downloader/source"
)

func (a Adviser) adviseAccess(err error) (Advice, bool) {
	access, ok := errors.AsType[*source.AccessError](err)
	if !ok {
		return Advice{}, false
	}
	code := ExitAccess
	if access.Denial == source.Moved {
		code = ExitUsage
	}
	return Advice{code, inLines(a.AccessCure(access))}, true
}

func inLines(steps []Step) string {
	var lines []string
	for _, step := range steps {
		lines = append(lines, step.String())
	}
	return strings.Join(lines, "\n")
}
