package mail

import (
	"fmt"
	"strings"
	"testing"
)

func TestDecode(t *testing.T) {
	for charset, want := range map[string]string{
		"iso-8859-1": "¤", "Windows-1252": "¤", "ISO-8859-15": "€", "iso-8859-2": "¤", "windows-1250": "¤", "x-unknown": "\xa4",
	} {
		if got := decode("\xa4", charset, true); got != want {
			t.Errorf("%s: got %q, want %q", charset, got, want)
		}
	}
}

func TestUnxtext(t *testing.T) {
	for in, want := range map[string]string{"a+3Db+2Bc@d": "a=b+c@d", "a+": "a+", "a+zz": "a+zz", "": ""} {
		if got := unxtext(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestUntag(t *testing.T) {
	for in, want := range map[string]string{
		"a<br>b": "a\nb", "<P class=x>a</P>": "\na\n", "a<b>c": "ac", "1 &lt; 2": "1 < 2", "a < b": "a ",
		"x<SCRIPT a=b>evil()</script>y": "xy", "x<style>never ends": "x", "İ<style>a</style>b": "İb", "\xff<br>": "?\n",
	} {
		if got := untag(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	if got := cut("aé", 2); got != "a" {
		t.Errorf("got %q", got)
	}
}

func TestSecretInJSON(t *testing.T) {
	b, err := Secret("open sesame").MarshalText()
	if err != nil || strings.Contains(fmt.Sprint(string(b)), "sesame") {
		t.Errorf("got %s, %v", b, err)
	}
}
