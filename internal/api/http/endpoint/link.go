package endpoint

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/api/access"
	"github.com/harness/log-service/internal/duration"
	"github.com/harness/log-service/internal/service"
)

// The paths of links that this server serves itself.
const (
	PathUploadLink   = "/link/upload"
	PathDownloadLink = "/link/download"
	PathZipLink      = "/link/zip"
)

type linkAnswer struct {
	Link    string        `json:"link"`
	Status  string        `json:"status,omitempty"`
	Expires time.Duration `json:"expires"` // nanoseconds
}

// UploadLink answers with a URL that accepts the log of l by PUT without a
// token, for an hour or as long as expires says.
func (a *API) UploadLink(c *Call, l Log) error {
	return a.giveLink(c, service.LinkUpload, PathUploadLink, l.ID(), "")
}

// DownloadLink is UploadLink for GET.
func (a *API) DownloadLink(c *Call, l Log) error {
	return a.giveLink(c, service.LinkDownload, PathDownloadLink, l.ID(), "")
}

// ZipLink answers with a link to a zip of every stored log of t. The zip is
// made while it is downloaded, so it is ready at once; clients that poll see
// success the first time.
func (a *API) ZipLink(c *Call, t Tree) error {
	found := false
	for _, err := range a.service.ListBlobs(c.Request.Context(), t.ID().Account, t.ID().Key) {
		if err != nil {
			return err
		}
		found = true
		break
	}
	if !found {
		return NotFound("no logs found below this prefix", "")
	}
	return a.giveLink(c, service.LinkZip, PathZipLink, t.ID(), "success")
}

func (a *API) giveLink(c *Call, kind service.LinkKind, path string, id logservice.ID, status string) error {
	ttl, err := linkTTL(c)
	if err != nil {
		return err
	}
	var link string
	if kind == service.LinkDownload {
		link, err = a.service.StoreLink(c.Request.Context(), id, ttl)
	}
	if kind != service.LinkDownload || errors.Is(err, logservice.ErrUnsupported) {
		link, err = a.ownLink(c.Request, kind, path, id, ttl)
	}
	if err != nil {
		return err
	}
	c.Header().Set("Cache-Control", "no-store")
	return c.json(http.StatusOK, linkAnswer{Link: link, Status: status, Expires: ttl})
}

// ownLink is a link that this server serves itself.
func (a *API) ownLink(r *http.Request, kind service.LinkKind, path string, id logservice.ID, ttl time.Duration) (string, error) {
	l, err := a.service.SignLink(kind, id, ttl, "")
	if err != nil {
		return "", err
	}
	q := url.Values{
		"accountID": {l.ID.Account}, "key": {string(l.ID.Key)},
		"expires": {strconv.FormatInt(l.Expires, 10)}, "signature": {l.Signature},
	}
	return a.public.URL(r) + path + "?" + q.Encode(), nil
}

func linkTTL(c *Call) (time.Duration, error) {
	s := c.Query.Get("expires")
	if s == "" {
		return service.DefaultLinkTTL, nil
	}
	ttl, err := duration.Parse(s)
	if err != nil || ttl < time.Second {
		return 0, logservice.Invalidf("expires is %q: use a duration from 1s to %v, such as 30m", s, service.MaxLinkTTL)
	}
	return min(ttl, service.MaxLinkTTL), nil
}

// linked reads and verifies the link of a request.
func (a *API) linked(c *Call, kind service.LinkKind) (Log, error) {
	expires, err := strconv.ParseInt(c.Query.Get("expires"), 10, 64)
	if err != nil {
		return Log{}, logservice.ErrForbidden
	}
	id := logservice.ID{Account: c.Query.Get("accountID"), Key: logservice.Key(c.Query.Get("key"))}
	c.account = id.Account
	c.note(string(id.Key))
	return access.Linked(a.service, service.Link{Kind: kind, ID: id, Expires: expires, Signature: c.Query.Get("signature")})
}

// NotByThisLink is a Func for methods that no link of a path permits.
func NotByThisLink(*Call) error {
	return logservice.Errorf(logservice.ErrForbidden, "the link does not allow this method")
}

// LinkedUpload stores the log of an upload link. It answers 200, as object
// stores do.
func (a *API) LinkedUpload(c *Call) error {
	l, err := a.linked(c, service.LinkUpload)
	if err != nil {
		return err
	}
	if err := a.store(c, l, false); err != nil {
		return err
	}
	c.WriteHeader(http.StatusOK)
	return nil
}

// LinkedDownload answers with the log that a download link is for.
func (a *API) LinkedDownload(c *Call) error {
	l, err := a.linked(c, service.LinkDownload)
	if err != nil {
		return err
	}
	return a.Download(c, l)
}

// LinkedZip answers with the zip that a link is for.
func (a *API) LinkedZip(c *Call) error {
	l, err := a.linked(c, service.LinkZip)
	if err != nil {
		return err
	}
	h := c.Header()
	h.Set("Content-Type", "application/zip")
	h.Set("Content-Disposition", `attachment; filename="logs.zip"`)
	Harmless(h)
	if c.Request.Method == http.MethodHead {
		return nil
	}
	w := a.paced(c)
	err = a.service.Zip(c.Request.Context(), l.ID().Account, l.ID().Key, &w)
	w.done()
	if err != nil && c.status != 0 {
		return Aborted(err)
	}
	return err
}
