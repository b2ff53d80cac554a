package physionet

import (
	"mime"
	"path"
	"strings"
)

func isWebPage(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && (t == "text/html" || t == "application/xhtml+xml")
}

func isJSON(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && t == "application/json"
}

// namesWebPage reports whether an entry is a web page, by names that servers send as such.
func namesWebPage(p string) bool {
	switch strings.ToLower(path.Ext(p)) {
	case ".html", ".htm", ".shtml", ".xhtml", ".xht":
		return true
	}
	return false
}
