// Package drone speaks the protocol by which Drone runners send the logs of
// steps: batches while a step runs, and the whole log when it ends. The log is
// named by the step's number, under the key drone/step/{id}, in the account
// that the token is for.
package drone

import (
	"strings"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/handler/endpoint"
)

// Dialect has a method for each route.
type Dialect struct{ api *endpoint.API }

// New returns the dialect over api.
func New(api *endpoint.API) *Dialect { return &Dialect{api} }

// withStep finds the log of the step in the path and calls f.
func withStep(c *endpoint.Call, f func(*endpoint.Call, endpoint.Log) error) error {
	c.UseToken(c.Request.Header.Get("X-Drone-Token"))
	a, err := c.Own()
	if err != nil {
		return err
	}
	step := c.Request.PathValue("id")
	if strings.Contains(step, "/") {
		return logservice.Invalidf("step %q holds a /", step)
	}
	key, err := logservice.ParseKey("drone/step/" + step)
	if err != nil {
		return err
	}
	l, err := a.Log(key)
	if err != nil {
		return err
	}
	return f(c, l)
}

// Batch serves POST /rpc/v2/step/{id}/logs/batch.
func (d *Dialect) Batch(c *endpoint.Call) error { return withStep(c, d.api.StepBatch) }

// Upload serves POST /rpc/v2/step/{id}/logs/upload.
func (d *Dialect) Upload(c *endpoint.Call) error { return withStep(c, d.api.StepUpload) }
