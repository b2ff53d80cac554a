package advice

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/source"
)

func (a Adviser) adviseNetwork(err error) (Advice, bool) {
	var certificate *tls.CertificateVerificationError
	var dns *net.DNSError
	var op *net.OpError
	var proxy *source.ProxyError
	var portal *source.PortalError
	switch {
	case errors.As(err, &proxy):
		return Advice{ExitIncomplete, inLines(proxyCure(proxy)) + "\nthen run the same command to continue"}, true
	case errors.As(err, &portal):
		return Advice{ExitIncomplete, portalCure(portal).String() + "\nthen run the same command to continue"}, true
	case errors.Is(err, source.ErrWebPage):
		return Advice{ExitIncomplete, "the server may be under maintenance, or your network may want a login: open the address in a browser on this machine;\n" +
			"then run the same command to continue"}, true
	case errors.As(err, new(*source.EncodingError)):
		return Advice{ExitIncomplete, "a proxy may be compressing responses: ask its administrator to pass this server's files unchanged, or bypass it;\n" +
			"then run the same command to continue"}, true
	case errors.As(err, &certificate):
		return Advice{ExitIncomplete, inLines(TroubleCure(err, "")) + "\nthen run the same command to continue"}, true
	case errors.Is(err, failure.ErrUnreachable), errors.Is(err, failure.ErrStalled), errors.As(err, &dns), errors.As(err, &op):
		return Advice{ExitIncomplete, "check the network, and HTTPS_PROXY if you need a proxy; then run the same command to continue"}, true
	}
	_, status := errors.AsType[*source.StatusError](err)
	if status || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return Advice{ExitIncomplete, "the server has trouble: run the same command later to continue"}, true
	}
	return Advice{}, false
}

// TroubleCure is what to do if a source didn't answer properly.
func TroubleCure(err error, proxy string) []Step {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var certificate *tls.CertificateVerificationError
	var dns *net.DNSError
	var refusing *source.ProxyError
	var portal *source.PortalError
	switch {
	case errors.As(err, &refusing):
		return proxyCure(refusing)
	case errors.As(err, &portal):
		return []Step{portalCure(portal)}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return []Step{{Do: "check this machine's clock, and set it", Command: SetClock}, {Do: "if it is right, the server's certificate has expired: try later"}}
	case errors.As(err, &name):
		return []Step{{Do: "another server answers, such as the login page of a network: open the address in a browser on this machine"}}
	case errors.As(err, &authority), errors.As(err, &certificate):
		return []Step{{Do: "if a proxy of your network inspects TLS, name the file with its certificate", Command: "export SSL_CERT_FILE=/path/to/ca.pem"}}
	case proxy != "":
		return []Step{{Do: "check that the proxy " + proxy + " is right and answers; HTTPS_PROXY sets it, and NO_PROXY lists hosts that bypass it"}}
	case errors.As(err, &dns):
		return []Step{{Do: "check the network and its name servers; the compute nodes of a cluster often have none: try its login node"}}
	}
	if _, ok := errors.AsType[*source.StatusError](err); ok {
		return []Step{{Do: "the server has trouble: try again later"}}
	}
	if errors.Is(err, source.ErrWebPage) {
		return []Step{{Do: "your network may have answered with its login page: open the address in a browser on this machine"}}
	}
	return []Step{{Do: "check the network and its firewall; if it needs a proxy, name it", Command: "export HTTPS_PROXY=http://proxy.example.org:3128"}}
}

// proxyCure is what to do if a proxy refuses.
func proxyCure(e *source.ProxyError) []Step {
	host, _, err := net.SplitHostPort(e.Host)
	if err != nil {
		host = e.Host
	}
	around := Step{Do: "or bypass it, if the network allows", Command: "export NO_PROXY=" + host}
	switch e.Code {
	case http.StatusProxyAuthRequired:
		scheme, address, _ := strings.Cut(e.Proxy, "://")
		return []Step{{Do: "set the proxy with your user and password", Command: "export HTTPS_PROXY=" + scheme + "://USER:PASSWORD@" + address}, around}
	case http.StatusForbidden, http.StatusMethodNotAllowed:
		return []Step{{Do: "ask the administrator of the proxy " + e.Proxy + ", set by HTTPS_PROXY, to allow connections to " + e.Host}, around}
	}
	return []Step{{Do: "the proxy " + e.Proxy + ", set by HTTPS_PROXY, can't reach " + e.Host + " right now: try again later"}, around}
}

func portalCure(e *source.PortalError) Step {
	return Step{Do: "open the address in a browser on this machine, and log in to the network if it asks you to", Page: e.Asked}
}
