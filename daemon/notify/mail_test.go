package notify_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"mime/quotedprintable"
	"net"
	"net/http/httptest"
	"net/mail"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"mimicsync/daemon/notify"
)

// mailServer is as much of an SMTP server as a delivery needs.
type mailServer struct {
	listener  net.Listener
	config    *tls.Config
	roots     *x509.CertPool
	starttls  bool
	delivered chan delivery // one a mail
}

type delivery struct {
	encrypted bool
	login     string // as the client gave it, user NUL password
	to        []string
	text      string
}

func startMailServer(t *testing.T, encryption notify.Encryption) *mailServer {
	t.Helper()
	web := httptest.NewTLSServer(nil) // used for its certificate, which is for 127.0.0.1
	t.Cleanup(web.Close)
	s := &mailServer{config: web.TLS.Clone(), roots: x509.NewCertPool(), starttls: encryption == notify.STARTTLS, delivered: make(chan delivery, 1)}
	s.config.NextProtos = nil
	s.roots.AddCert(web.Certificate())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.listener = l
	if encryption == notify.ImplicitTLS {
		s.listener = tls.NewListener(l, s.config)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := s.listener.Accept()
			if err != nil {
				return
			}
			s.serve(conn, encryption == notify.ImplicitTLS)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return s
}

func (s *mailServer) serve(conn net.Conn, encrypted bool) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	d := delivery{encrypted: encrypted}
	text := textproto.NewConn(conn)
	_ = text.PrintfLine("220 test")
	for {
		line, err := text.ReadLine()
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(line, " ")
		reply := "250 ok"
		switch strings.ToUpper(verb) {
		case "EHLO":
			reply = "250-test\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME"
			if s.starttls && !d.encrypted {
				reply = "250-test\r\n250-STARTTLS\r\n250 8BITMIME"
			}
		case "STARTTLS":
			_ = text.PrintfLine("220 go on")
			conn = tls.Server(conn, s.config)
			text, d.encrypted = textproto.NewConn(conn), true
			continue
		case "AUTH":
			_, token, _ := strings.Cut(rest, " ")
			b, _ := base64.StdEncoding.DecodeString(token)
			d.login = strings.TrimPrefix(string(b), "\x00")
			reply = "235 welcome"
			if !strings.HasSuffix(d.login, "\x00hunter2") {
				reply = "535 wrong password"
			}
		case "RCPT":
			d.to = append(d.to, rest)
		case "DATA":
			_ = text.PrintfLine("354 go on")
			b, err := io.ReadAll(text.DotReader())
			if err != nil {
				return
			}
			d.text = string(b)
			s.delivered <- d
		case "QUIT":
			_ = text.PrintfLine("221 bye")
			return
		}
		_ = text.PrintfLine("%s", reply)
	}
}

func (s *mailServer) options(encryption notify.Encryption) notify.MailOptions {
	address, _ := s.listener.Addr().(*net.TCPAddr)
	return notify.MailOptions{
		Host: "127.0.0.1", Port: address.Port, Encryption: encryption, RootCAs: s.roots,
		Username: "daemon", Password: func() (string, error) { return "hunter2", nil },
		From: "mimicsync <mimicsync@lab.example.org>", To: []string{"marie@lab.example.org", "data@lab.example.org"},
	}
}

func mailer(t *testing.T, o notify.MailOptions) *notify.Mail {
	t.Helper()
	m, err := notify.NewMail(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAMailIsDelivered(t *testing.T) {
	for _, encryption := range []notify.Encryption{notify.STARTTLS, notify.ImplicitTLS, notify.Plain} {
		t.Run(string(encryption), func(t *testing.T) {
			s := startMailServer(t, encryption)
			o := s.options(encryption)
			if encryption == notify.Plain {
				o.Username = ""
			}
			e := signAgain
			e.Text = "Prüfsummen fehlen.\n.\nEnd" // a dot alone would end the mail
			if err := mailer(t, o).Notify(t.Context(), e); err != nil {
				t.Fatal(err)
			}
			got := <-s.delivered
			if got.encrypted != (encryption != notify.Plain) {
				t.Errorf("encrypted: %t", got.encrypted)
			}
			if want := "daemon\x00hunter2"; encryption != notify.Plain && got.login != want {
				t.Errorf("the login was %q, want %q", got.login, want)
			}
			if len(got.to) != 2 || !strings.Contains(got.to[0], "<marie@lab.example.org>") {
				t.Errorf("it went to %q", got.to)
			}
			msg, err := mail.ReadMessage(bufio.NewReader(strings.NewReader(got.text)))
			if err != nil {
				t.Fatal(err)
			}
			if subject := msg.Header.Get("Subject"); subject != "[mimicsync] mimic-cxr 2.1.0: needs you" {
				t.Errorf("its subject is %q", subject)
			}
			if kind := msg.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/plain") {
				t.Errorf("it is %s", kind)
			}
			body, err := io.ReadAll(quotedprintable.NewReader(msg.Body))
			if text := strings.TrimSpace(strings.ReplaceAll(string(body), "\r\n", "\n")); err != nil || text != strings.TrimSpace(e.Message()) {
				t.Errorf("its text is %q, want %q (%v)", text, e.Message(), err)
			}
		})
	}
}

// Names and versions are checked long before, and cannot add to a mail if they
// were not.
func TestAnEventAddsNoHeaderToAMail(t *testing.T) {
	s := startMailServer(t, notify.ImplicitTLS)
	e := signAgain
	e.Dataset, e.Text = "x\r\nBcc: eve@example.org\r\n\r\nbody", "\r\n.\r\nMAIL FROM:<eve@example.org>\r\n"
	if err := mailer(t, s.options(notify.ImplicitTLS)).Notify(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	got := <-s.delivered
	msg, err := mail.ReadMessage(bufio.NewReader(strings.NewReader(got.text)))
	if err != nil || msg.Header.Get("Bcc") != "" || len(got.to) != 2 {
		t.Errorf("the mail went to %q and reads (%v)\n%s", got.to, err, got.text)
	}
}

func TestAMailIsNotSentWhereOthersCouldReadIt(t *testing.T) {
	s := startMailServer(t, notify.Plain) // offers a login, and no STARTTLS
	if err := mailer(t, s.options(notify.STARTTLS)).Notify(t.Context(), signAgain); err == nil || !strings.Contains(err.Error(), "STARTTLS") {
		t.Errorf("Notify without STARTTLS = %v, want an error", err)
	}
	encrypted := startMailServer(t, notify.STARTTLS)
	o := encrypted.options(notify.STARTTLS)
	o.RootCAs = nil
	if err := mailer(t, o).Notify(t.Context(), signAgain); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("Notify with a certificate of nobody = %v, want an error", err)
	}
	if len(s.delivered)+len(encrypted.delivered) > 0 {
		t.Error("a mail was sent")
	}
	if _, err := notify.NewMail(notify.MailOptions{Host: "mail.example.org", Encryption: notify.Plain, From: "a@b.c", To: []string{"a@b.c"}}); err == nil {
		t.Error("a server elsewhere may do without encryption")
	}
}

func TestAMailWithAWrongPasswordDoesNotTellIt(t *testing.T) {
	s := startMailServer(t, notify.STARTTLS)
	o := s.options(notify.STARTTLS)
	o.Password = func() (string, error) { return "correct horse", nil }
	m := mailer(t, o)
	err := m.Notify(t.Context(), signAgain)
	if err == nil || strings.Contains(err.Error(), "correct") || strings.Contains(err.Error(), base64.StdEncoding.EncodeToString([]byte("\x00daemon\x00correct horse"))) {
		t.Errorf("Notify = %v, want an error without the password", err)
	}
	if m.Name() != "mail by 127.0.0.1" {
		t.Errorf("Name = %q", m.Name())
	}
}

func TestADeliveryEndsWithTheDaemon(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel connects, and nobody says anything
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	s := &mailServer{listener: silent}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if err := mailer(t, s.options(notify.Plain)).Notify(ctx, signAgain); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Notify = %v, want DeadlineExceeded", err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("that took %s", took)
	}
}

func TestMailThatCannotWorkIsAnErrorAtOnce(t *testing.T) {
	good := notify.MailOptions{Host: "mail.example.org", From: "a@example.org", To: []string{"b@example.org"}}
	if _, err := notify.NewMail(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*notify.MailOptions){
		"no host":               func(o *notify.MailOptions) { o.Host = "" },
		"no receiver":           func(o *notify.MailOptions) { o.To = nil },
		"a receiver like none":  func(o *notify.MailOptions) { o.To = []string{"b at example"} },
		"no sender":             func(o *notify.MailOptions) { o.From = "" },
		"an encryption of none": func(o *notify.MailOptions) { o.Encryption = "rot13" },
	} {
		o := good
		spoil(&o)
		if _, err := notify.NewMail(o); err == nil {
			t.Errorf("NewMail with %s = nil, want an error", name)
		}
	}
}
