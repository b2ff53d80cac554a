package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/wneessen/go-mail"

	"mimicsync/internal/loopback"
)

// mailTimeout limits a whole delivery.
const mailTimeout = time.Minute

// Encryption is how a connection to a mail server is encrypted.
type Encryption string

// The kinds of encryption.
const (
	STARTTLS    Encryption = "starttls" // requested; nothing is sent without it
	ImplicitTLS Encryption = "tls"      // from the first byte
	Plain       Encryption = "none"     // no encryption: only for a server on this machine
)

// MailOptions configures a Mail.
type MailOptions struct {
	Kinds      []Kind // the events that it is sent for; all if empty
	Host       string
	Port       int        // 0: 587, or 465 with ImplicitTLS, 25 with Plain
	Encryption Encryption // empty: STARTTLS
	Username   string     // empty: no login
	// Password is called for each mail, so that a changed password counts at once. It isn't
	// called without a Username.
	Password func() (string, error)
	From     string
	To       []string
	RootCAs  *x509.CertPool // nil: the system's
}

// Mail sends an Event as a mail of plain text.
type Mail struct {
	wanted
	o MailOptions
}

// NewMail returns a Mail. The error says what is wrong with the options.
func NewMail(o MailOptions) (*Mail, error) {
	var port int
	switch o.Encryption {
	case "", STARTTLS:
		o.Encryption, port = STARTTLS, mail.DefaultPortTLS
	case ImplicitTLS:
		port = mail.DefaultPortSSL
	case Plain:
		port = mail.DefaultPort
		if !loopback.Is(o.Host) {
			return nil, fmt.Errorf("mail by %s: without encryption, the server must be on this machine", o.Host)
		}
	default:
		return nil, fmt.Errorf("mail by %s: unknown encryption %q; choose %s, %s or %s", o.Host, o.Encryption, STARTTLS, ImplicitTLS, Plain)
	}
	if o.Port == 0 {
		o.Port = port
	}
	m := &Mail{wanted: o.Kinds, o: o}
	if o.Host == "" || len(o.To) == 0 {
		return nil, errors.New("mail needs a server and a recipient")
	}
	if _, err := m.compose(Event{}); err != nil {
		return nil, err
	}
	return m, nil
}

// Name names the mail server.
func (m *Mail) Name() string { return "mail by " + m.o.Host }

// Notify sends the event to all recipients.
func (m *Mail) Notify(ctx context.Context, e Event) error {
	ctx, cancel := context.WithTimeout(ctx, mailTimeout)
	defer cancel()
	msg, err := m.compose(e)
	if err != nil {
		return err
	}
	client, err := m.client(ctx)
	if err != nil {
		return err
	}
	err = client.DialAndSendWithContext(ctx, msg)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx) // instead of an error about a closed connection
	}
	return err
}

func (m *Mail) compose(e Event) (*mail.Msg, error) {
	msg := mail.NewMsg()
	if err := msg.From(m.o.From); err != nil {
		return nil, fmt.Errorf("mail from %q: %w", m.o.From, err)
	}
	if err := msg.To(m.o.To...); err != nil {
		return nil, fmt.Errorf("mail to %q: %w", m.o.To, err)
	}
	msg.Subject("[mimicsync] " + e.Subject())
	msg.SetDateWithValue(e.Time)
	msg.SetMessageID()
	// Request no out-of-office replies, see RFC 3834.
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetBodyString(mail.TypeTextPlain, e.Message())
	return msg, nil
}

func (m *Mail) client(ctx context.Context) (*mail.Client, error) {
	options := []mail.Option{mail.WithPort(m.o.Port), mail.WithTimeout(mailTimeout), mail.WithDialContextFunc(m.dial(ctx))}
	switch m.o.Encryption {
	case ImplicitTLS:
		options = append(options, mail.WithSSL())
	case Plain:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	default:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory), mail.WithTLSConfig(m.tls()))
	}
	if m.o.Username != "" {
		password, err := m.o.Password()
		if err != nil {
			return nil, fmt.Errorf("the password: %w", err)
		}
		// The last two refuse a connection that isn't encrypted.
		options = append(options, mail.WithUsername(m.o.Username), mail.WithPassword(password), mail.WithOpportunisticSMTPAuth(
			mail.SMTPAuthSCRAMSHA256PLUS, mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthPlain, mail.SMTPAuthLogin))
	}
	return mail.NewClient(m.o.Host, options...)
}

// dial returns a dialer of connections that end with ctx: once connected, the library
// ignores ctx.
func (m *Mail) dial(ctx context.Context) mail.DialContextFunc {
	return func(dialCtx context.Context, network, address string) (net.Conn, error) {
		var dialer interface {
			DialContext(ctx context.Context, network, address string) (net.Conn, error)
		} = &net.Dialer{}
		if m.o.Encryption == ImplicitTLS {
			dialer = &tls.Dialer{Config: m.tls()}
		}
		conn, err := dialer.DialContext(dialCtx, network, address)
		if err == nil {
			context.AfterFunc(ctx, func() { _ = conn.Close() }) // closed already if the delivery was faster
		}
		return conn, err
	}
}

func (m *Mail) tls() *tls.Config {
	return &tls.Config{ServerName: m.o.Host, RootCAs: m.o.RootCAs, MinVersion: tls.VersionTLS12}
}
