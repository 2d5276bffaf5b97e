package api

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"net/http"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/store"
)

// The page is for an owner who is abroad, blocked, and has a slip of paper: no
// script, no image, nothing that an old telephone cannot show.
const passStyle = `body{font:1.1em/1.5 sans-serif;max-width:32em;margin:2em auto;padding:0 1em}` +
	`input,button{font:inherit;padding:.4em;box-sizing:border-box}input{width:100%;margin:.3em 0}` +
	`.good{border-left:.4em solid #28a745;padding-left:.8em}.bad{border-left:.4em solid #c0392b;padding-left:.8em}`

// contentPolicy lets a browser run nothing, and style only what passStyle says.
var contentPolicy = func() string {
	sum := sha256.Sum256([]byte(passStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
}()

// passText is what the page says, in one language.
type passText struct {
	lang, title, other, otherName         string
	intro, label, button                  string
	done, nothing, unknown, spent, notOne string
	wait, failed, nowhere                 string
}

var passTexts = map[string]passText{
	"en": {
		lang: "en", title: "One-time pass", other: "fr", otherName: "En français",
		intro:   "Are you locked out? Type one of your ten one-time passes. It lets the address from which you see this page, %s, through for 24 hours.",
		label:   "Pass",
		button:  "Let me through",
		done:    "Done. A block of %s is lifted, and it may pass until %s. Your devices learn of it within seconds. Cross this pass off your list: it works once.",
		nothing: "Done. %s was not blocked here; it may pass until %s. Cross this pass off your list: it works once.",
		unknown: "This is none of the passes that were made. Compare each letter with your list.",
		spent:   "This pass was used before, or replaced by newer ones. Take the next one on your list.",
		notOne:  "This cannot be a pass. A pass has 16 letters and digits, such as 7Q2M-0K9D-XXTA-4H1C.",
		wait:    "There were too many tries. Wait %d seconds, then try again: your pass is not used.",
		failed:  "The hub could not do it. Try the same pass again in a minute.",
		nowhere: "This page must be opened over the network: here the hub cannot see your address.",
	},
	"fr": {
		lang: "fr", title: "Laissez-passer", other: "en", otherName: "In English",
		intro:   "Êtes-vous bloqué ? Saisissez l’un de vos dix laissez-passer. Il autorise pendant 24 heures l’adresse d’où vous voyez cette page, %s.",
		label:   "Laissez-passer",
		button:  "Laissez-moi passer",
		done:    "C’est fait. Un blocage de %s est levé ; cette adresse peut passer jusqu’au %s. Vos appareils l’apprennent en quelques secondes. Rayez ce laissez-passer de votre liste : il ne sert qu’une fois.",
		nothing: "C’est fait. %s n’était pas bloquée ici ; elle peut passer jusqu’au %s. Rayez ce laissez-passer de votre liste : il ne sert qu’une fois.",
		unknown: "Ce n’est aucun des laissez-passer émis. Comparez chaque lettre avec votre liste.",
		spent:   "Ce laissez-passer a déjà servi, ou a été remplacé par de plus récents. Prenez le suivant de votre liste.",
		notOne:  "Ce ne peut pas être un laissez-passer : il a 16 lettres et chiffres, par exemple 7Q2M-0K9D-XXTA-4H1C.",
		wait:    "Il y a eu trop d’essais. Attendez %d secondes, puis réessayez : votre laissez-passer n’est pas utilisé.",
		failed:  "Le concentrateur n’a pas pu le faire. Réessayez le même laissez-passer dans une minute.",
		nowhere: "Cette page doit être ouverte par le réseau : ici, le concentrateur ne voit pas votre adresse.",
	},
}

// language picks the one asked for, else the first that the browser likes.
func (c *call) language() passText {
	wishes := c.r.URL.Query().Get("lang") + "," + c.r.Header.Get("Accept-Language")
	for wish := range strings.SplitSeq(wishes[:min(len(wishes), maxText)], ",") {
		wish, _, _ = strings.Cut(strings.ToLower(strings.TrimSpace(wish)), ";")
		wish, _, _ = strings.Cut(wish, "-")
		if t, ok := passTexts[wish]; ok {
			return t
		}
	}
	return passTexts["en"]
}

func (a *API) passPage(c *call) (any, error) { return c.show(http.StatusOK, "", "") }

// show writes the page with a message above the form.
func (c *call) show(status int, class, message string) (any, error) {
	t := c.language()
	if !c.from.IsValid() && message == "" {
		class, message = "bad", t.nowhere
	}
	if message != "" {
		message = fmt.Sprintf("<p class=%q role=\"status\">%s</p>\n", class, html.EscapeString(message))
	}
	from := html.EscapeString(c.from.String())
	page := fmt.Sprintf(`<!DOCTYPE html>
<html lang="%[1]s">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>%[2]s</title>
<style>%[3]s</style>
</head>
<body>
<h1>%[2]s</h1>
%[4]s<p>%[5]s</p>
<form method="post" action="/pass?lang=%[1]s">
<label for="code">%[6]s</label>
<input id="code" name="code" required maxlength="40" autocomplete="off" autocapitalize="characters" spellcheck="false">
<button>%[7]s</button>
</form>
<p><a href="/pass?lang=%[8]s" hreflang="%[8]s" lang="%[8]s">%[9]s</a></p>
</body>
</html>
`, t.lang, t.title, passStyle, message, fmt.Sprintf(t.intro, from), t.label, t.button, t.other, t.otherName)
	c.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	c.w.Header().Set("Content-Language", t.lang)
	c.w.WriteHeader(status)
	_, _ = c.w.Write([]byte(page)) // whoever hung up does not want it
	return answered, nil
}

// redeem spends a pass. The answer to a wrong code takes as long as that to a
// right one may: what is compared is a hash, in the store.
func (a *API) redeem(c *call) (any, error) {
	t := c.language()
	source := tocsin.SourcePrefix(c.from)
	if !source.IsValid() {
		return c.show(http.StatusBadRequest, "bad", t.nowhere)
	}
	if wait := max(a.redeems.wait(source, c.at), a.everybody.wait(struct{}{}, c.at)); wait > 0 {
		seconds := int(wait/time.Second) + 1
		c.w.Header().Set("Retry-After", fmt.Sprint(seconds))
		return c.show(http.StatusTooManyRequests, "bad", fmt.Sprintf(t.wait, seconds))
	}
	a.redeems.take(source, 1, c.at)
	const longest = 1 << 10
	c.r.Body = http.MaxBytesReader(c.w, c.r.Body, longest)
	code, ok := HashPass(c.r.PostFormValue("code"))
	if !ok {
		return c.show(http.StatusBadRequest, "bad", t.notOne)
	}
	a.everybody.take(struct{}{}, 1, c.at) // only what may be a pass costs all others
	r, err := a.Passes.RedeemPass(c.r.Context(), code, source)
	if err != nil {
		return a.notRedeemed(c, err)
	}
	text := t.nothing
	if r.Lifted {
		text = t.done
	}
	until := r.Until.UTC().Format("2006-01-02 15:04 UTC")
	return c.show(http.StatusOK, "good", fmt.Sprintf(text, c.from, until))
}

func (a *API) notRedeemed(c *call, err error) (any, error) {
	t := c.language()
	e, theirs := asError(err)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return c.show(http.StatusNotFound, "bad", t.unknown)
	case errors.Is(err, store.ErrSpent):
		return c.show(http.StatusGone, "bad", t.spent)
	case !theirs:
		a.Log.Error("one-time pass not redeemed", logkey.Err, err)
	}
	return c.show(e.Status, "bad", t.failed)
}

func (a *API) newPasses(c *call) (any, error) {
	var w passesWish
	if err := fromPerson(c.w, c.r, &w); err != nil {
		return nil, err
	}
	if w.Owner == "" || !word(string(w.Owner), maxText) {
		return nil, badRequest("owner: want a name of at most %d printable bytes: whose passes they are", maxText)
	}
	c.did = "make ten one-time passes for " + string(w.Owner)
	codes := Codes{Owner: w.Owner}
	var hashes [][32]byte
	for range PassCodes {
		code := newPass()
		hash, _ := HashPass(code)
		codes.Codes, hashes = append(codes.Codes, code), append(hashes, hash)
	}
	return result(codes, a.Passes.AddPasses(c.r.Context(), w.Owner, hashes, c.by))
}

func (a *API) passes(c *call) (any, error) {
	owner, err := c.owner()
	if err != nil {
		return nil, err
	}
	if owner == "" {
		return nil, badRequest("owner: want whose passes")
	}
	list, err := a.Passes.Passes(c.r.Context(), owner)
	return result(append([]Pass{}, list...), err)
}
