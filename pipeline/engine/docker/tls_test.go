package docker_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"brenda/pipeline/engine/docker"
	"brenda/pipeline/fault"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func must[T any](t *testing.T) func(v T, err error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return authority{must[*x509.Certificate](t)(x509.ParseCertificate(der)), key}
}

// sign returns a certificate for 127.0.0.1 and its key.
func (a authority) sign(t *testing.T, usage x509.ExtKeyUsage) (cert, key []byte) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}
	private := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key))
	raw := must[[]byte](t)(x509.MarshalECPrivateKey(private))
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw})
}

// folder is what DOCKER_CERT_PATH names: whom the client trusts, and who it is.
func folder(t *testing.T, trusted, signer authority) string {
	t.Helper()
	dir := t.TempDir()
	cert, key := signer.sign(t, x509.ExtKeyUsageClientAuth)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: trusted.cert.Raw})
	for name, b := range map[string][]byte{"ca.pem": ca, "cert.pem": cert, "key.pem": key} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestTLS: a daemon on TCP proves who it is and asks who the client is, as docker's own documents set it up. Neither side
// talks to a stranger, and the error says which of the two was refused.
func TestTLS(t *testing.T) {
	ours, other := newAuthority(t, "ours"), newAuthority(t, "other")
	cert := must[tls.Certificate](t)(tls.X509KeyPair(ours.sign(t, x509.ExtKeyUsageServerAuth)))
	pool := x509.NewCertPool()
	pool.AddCert(ours.cert)
	daemon := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/_ping"):
			ping("1.41")(w, r)
		case strings.HasSuffix(r.URL.Path, "/containers/json"):
			answer(`[]`)(w, r)
		default:
			status(404, `{"message":"no such thing"}`)(w, r)
		}
	})
	plain := httptest.NewServer(daemon)
	defer plain.Close()
	srv := httptest.NewUnstartedServer(daemon)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that fail
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	srv.StartTLS()
	defer srv.Close()
	host := "tcp://" + srv.Listener.Addr().String()
	for name, c := range map[string]struct {
		host, certs, says string
	}{
		"both known":        {host, folder(t, ours, ours), ""},
		"https":             {strings.Replace(host, "tcp", "https", 1), folder(t, ours, ours), ""},
		"daemon a stranger": {host, folder(t, other, ours), "its certificate is not one that ca.pem vouches for"},
		"client a stranger": {host, folder(t, ours, other), "it does not accept the certificate in cert.pem"},
		"no certificates":   {host, "", "it wants TLS"},
		"daemon without":    {"tcp://" + plain.Listener.Addr().String(), folder(t, ours, ours), "it speaks no TLS"},
	} {
		e := engine(t, docker.Config{Host: c.host, Certs: c.certs, Wait: time.Minute})
		_, err := e.List(t.Context(), true)
		if (err == nil) != (c.says == "") || err != nil && (fault.KindOf(err) != fault.Unavailable || !strings.Contains(fault.As(err).Msg, c.says)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := docker.New(docker.Config{Host: host, Certs: t.TempDir()}); err == nil {
		t.Error("a folder without certificates is taken")
	}
}
