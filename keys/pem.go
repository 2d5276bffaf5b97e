package keys

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/tocsin-io/tocsin/internal/durable"
)

// Types of PEM blocks.
const (
	pemCertificate = "CERTIFICATE"
	pemPrivate     = "PRIVATE KEY"
	pemRequest     = "CERTIFICATE REQUEST"
)

// maxSecretFile bounds the files of this package that hold private keys, in
// bytes: a repository keeps every root it ever published.
const maxSecretFile = 4 << 20

// readSecret reads a file of private keys and refuses one that others of the
// machine can read.
func readSecret(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s: others may read this private key: chmod 600 it, and consider replacing the key", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err == nil && len(data) > maxSecretFile {
		err = fmt.Errorf("%s: more than %d bytes: not a file of tocsin", path, maxSecretFile)
	}
	return data, err
}

// writeSecret writes a file of private keys into a folder of its own.
func writeSecret(path string, data []byte) error {
	return durable.WriteFile(path, 0o600, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// makeFolder makes the folder of private files.
func makeFolder(dir string) error { return os.MkdirAll(dir, 0o700) }

// absent reports an error unless nothing is at path.
func absent(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s: %w", path, fs.ErrExist)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPrivate, Bytes: der}), nil
}

func encodeCertificate(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: c.Raw})
}

// decodePair reads a private key and the certificates that follow it.
func decodePair(path string, data []byte) (key *ecdsa.PrivateKey, chain []*x509.Certificate, err error) {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		switch block.Type {
		case pemPrivate:
			key, err = decodeKey(block.Bytes)
		case pemCertificate:
			var c *x509.Certificate
			c, err = x509.ParseCertificate(block.Bytes)
			chain = append(chain, c)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s: damaged: restore it from a backup: %w", path, err)
		}
	}
	if key == nil {
		return nil, nil, fmt.Errorf("%s: damaged: no private key in it: restore it from a backup", path)
	}
	return key, chain, nil
}

func decodeKey(der []byte) (*ecdsa.PrivateKey, error) {
	any, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	key, ok := any.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("not a P-256 key")
	}
	return key, nil
}
