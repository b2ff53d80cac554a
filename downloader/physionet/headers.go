package physionet

import (
	"mime"
	"path"
	"strings"
)

func isWebPage(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && t == "text/html"
}

func namesWebPage(p string) bool {
	switch strings.ToLower(path.Ext(p)) {
	case ".html", ".htm", ".xhtml":
		return true
	}
	return false
}
