package api

import (
	"net/http"

	"github.com/carillon-iot/carillon/agent"
)

// Routes are the operations, as "METHOD /path".
func Routes() (all []string) {
	for _, r := range table() {
		all = append(all, r.method+" "+r.path)
	}
	return all
}

// Handler serves an agent to anybody.
func Handler(a *agent.Agent) http.Handler {
	s, err := New(Config{Agent: a})
	if err != nil {
		panic(err)
	}
	return s.handler
}
