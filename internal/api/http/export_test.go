package httpapi

import (
	"github.com/harness/log-service/internal/api/http/endpoint"
	"github.com/harness/log-service/internal/auth"
)

// Row is a row of the table of routes.
type Row struct {
	Method, Pattern string
	Needs           auth.Verbs
}

// Table is every route of the server.
func Table() (rows []Row) {
	for _, r := range routes(endpoint.New(Config{})) {
		rows = append(rows, Row{r.method, r.pattern, r.needs})
	}
	return rows
}
