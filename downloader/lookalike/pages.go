package lookalike

import (
	"fmt"
	"html"
	"net/http"
	"strconv"
	"strings"
)

const htmlType = "text/html; charset=utf-8"

// serverHeader is shared by all responses and never changed.
var serverHeader = []string{"nginx/1.18.0"}

// The pages that Django renders. Clients tell them from nginx's by their size, if at all.
var (
	pageNotFound  = djangoPage("404: Page Not Found", "The page that you requested does not exist.")
	pageForbidden = djangoPage("403: Forbidden Access", "You do not have permission to access the requested page.")
	pageLogin     = djangoPage("Login", `<form action="/login/" method="post"><input name="username"><input type="password" name="password"></form>`)
)

// djangoPage renders a page of the site's template, which makes every error page some 4 kB.
func djangoPage(title, body string) []byte {
	link := `      <li class="nav-item"><a class="nav-link" href="/about/database/">Data, software, challenges and tutorials</a></li>` + "\n"
	return fmt.Appendf(nil, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n  <meta charset=\"utf-8\">\n  <title>%s</title>\n</head>\n<body>\n"+
		"  <nav class=\"navbar\">\n    <ul>\n%s    </ul>\n  </nav>\n  <div class=\"container\">\n    <h1>%s</h1>\n    <hr>\n    <p>%s</p>\n  </div>\n</body>\n</html>\n",
		title, strings.Repeat(link, 31), title, body)
}

// page sends a whole small answer.
func page(w *response, code int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	_, _ = w.Write(body) // the client may be gone
}

func notFound(w *response)  { page(w, http.StatusNotFound, htmlType, pageNotFound) }
func forbidden(w *response) { page(w, http.StatusForbidden, htmlType, pageForbidden) }

// nginxPage sends what nginx itself answers with a status other than 200: no validators, no ranges.
func nginxPage(w *response, code int) {
	h := w.Header()
	for _, k := range []string{"Etag", "Last-Modified", "Accept-Ranges", "Content-Security-Policy"} {
		delete(h, k)
	}
	page(w, code, "text/html", nginxBody(code))
}

func nginxBody(code int) []byte {
	title := strconv.Itoa(code) + " " + nginxReason(code)
	return fmt.Appendf(nil, "<html>\r\n<head><title>%s</title></head>\r\n<body>\r\n<center><h1>%s</h1></center>\r\n<hr><center>%s</center>\r\n</body>\r\n</html>\r\n",
		title, title, serverHeader[0])
}

// nginxReason is the title of nginx's page, which for some codes is not the one of the RFC.
func nginxReason(code int) string {
	switch code {
	case http.StatusServiceUnavailable:
		return "Service Temporarily Unavailable"
	case http.StatusGatewayTimeout:
		return "Gateway Time-out"
	case http.StatusRequestedRangeNotSatisfiable:
		return "Requested Range Not Satisfiable"
	default:
		return http.StatusText(code)
	}
}

// redirect sends a redirect with an empty body, as Django does; where is sent as it stands.
func redirect(w *response, code int, where string) {
	h := w.Header()
	h.Set("Location", where)
	page(w, code, htmlType, nil)
}

// serveContentPage answers /content/...: the page of a project, and the redirect to that of its newest version.
func (s *Server) serveContentPage(w *response, r *http.Request, rest string) {
	slug, rest, slash := strings.Cut(rest, "/")
	name, more, closed := strings.Cut(rest, "/")
	p := s.project(slug)
	if !slash || (name != "" && !closed) {
		if slug == "" {
			notFound(w)
			return
		}
		redirect(w, http.StatusMovedPermanently, r.URL.EscapedPath()+"/")
		return
	}
	if name == "" {
		if v := p.latest(); v != nil {
			redirect(w, http.StatusFound, "/content/"+slug+"/"+v.Version+"/")
			return
		}
		notFound(w)
		return
	}
	v, _ := p.version(name)
	if v == nil || more != "" {
		notFound(w)
		return
	}
	page(w, http.StatusOK, htmlType, projectPage(p, v))
}

// projectPage is there for everybody, whatever becomes of the files.
func projectPage(p *published, v *Version) []byte {
	text := "Version: " + v.Version
	switch {
	case v.Deprecated && v == p.latest():
		text += "<p>The files for this project are no longer available.</p>"
	case v.Deprecated:
		text += fmt.Sprintf("<p>The files for this version of the project (%s) are no longer available. The latest version of this project is %s.</p>",
			v.Version, p.latest().Version)
	case v.Georestricted:
		text += "<p>Data is not available in your region due to legal or policy restrictions.</p>"
	case v.DownloadsDisabled:
		text += "<p>This project is access restricted and the files are only\n  available via a research environment.</p>"
	case p.Policy == ContributorReview:
		text += fmt.Sprintf("<p>This is a restricted-access resource. To access the files, you must\n  <a href=\"/request-access-status/%s/%s/\">submit a request to the authors</a>"+
			" to use the data for your project.</p>", p.Slug, v.Version)
	case p.Policy != Open:
		text += fmt.Sprintf("<p>This is a restricted-access resource. To access the files, you must <a href=\"/sign-dua/%s/%s/\">sign the data use agreement</a>"+
			" for the project.</p>", p.Slug, v.Version)
	}
	return djangoPage(html.EscapeString(p.Title)+" v"+v.Version, text)
}
