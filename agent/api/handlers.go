package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/schemas"
)

func invalid(format string, args ...any) error {
	return problem(http.StatusBadRequest, "invalid-request", fmt.Sprintf(format, args...))
}

func (s *Server) postSignIn(w http.ResponseWriter, r *http.Request) {
	var body SignInRequest
	if err := read(w, r, &body); err != nil {
		fail(w, problemOf(err))
		return
	}
	req, err := body.request()
	if err != nil {
		fail(w, problemOf(err))
		return
	}
	id, err := s.agent.SignIn(r.Context(), req)
	if err != nil {
		fail(w, problemOf(err))
		return
	}
	w.Header().Set("Location", "/v1/sign-ins/"+id.String())
	s.answerSignIn(w, http.StatusCreated, id)
}

func (s *Server) getSignIn(w http.ResponseWriter, r *http.Request) {
	id, err := schemas.ParseID(r.PathValue("id"))
	if err != nil {
		fail(w, problemOf(invalid("%v", err)))
		return
	}
	s.answerSignIn(w, http.StatusOK, id)
}

func (s *Server) deleteSignIn(w http.ResponseWriter, r *http.Request) {
	id, err := schemas.ParseID(r.PathValue("id"))
	if err != nil {
		fail(w, problemOf(invalid("%v", err)))
		return
	}
	if err := s.agent.Cancel(r.Context(), id); err != nil {
		fail(w, problemOf(err))
		return
	}
	s.answerSignIn(w, http.StatusAccepted, id)
}

func (s *Server) postSignOut(w http.ResponseWriter, r *http.Request) {
	var body SignOutRequest
	if err := read(w, r, &body); err != nil {
		fail(w, problemOf(err))
		return
	}
	target, err := body.target()
	if err != nil {
		fail(w, problemOf(err))
		return
	}
	ids, err := s.agent.SignOut(r.Context(), target)
	if err != nil {
		fail(w, problemOf(err))
		return
	}
	out := SignOutAnswer{Sessions: []string{}}
	for _, id := range ids {
		out.Sessions = append(out.Sessions, id.String())
	}
	write(w, http.StatusOK, out)
}

func (s *Server) getStatus(w http.ResponseWriter, _ *http.Request) {
	write(w, http.StatusOK, statusOf(s.agent.Status()))
}

// getEvents streams what happens (HTML Living Standard section 9.2): the whole
// status first, then changes.
func (s *Server) getEvents(w http.ResponseWriter, r *http.Request) {
	select {
	case s.watchers <- struct{}{}:
		defer func() { <-s.watchers }()
	default:
		fail(w, problem(http.StatusServiceUnavailable, "too-many-watchers", fmt.Sprintf("%d callers watch already", maxWatchers)))
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := stream{w, http.NewResponseController(w)}
	events := s.agent.Watch(r.Context())
	if out.send(0, EventStatus, statusOf(s.agent.Status())) != nil {
		return
	}
	sign := time.NewTicker(20 * time.Second) // of life, so that a dead caller is noticed
	defer sign.Stop()
	var last uint64
	for {
		var err error
		select {
		case e, ok := <-events:
			if !ok {
				return
			}
			if last != 0 && e.Seq != last+1 {
				err = out.send(e.Seq, EventStatus, statusOf(s.agent.Status()))
			}
			last = e.Seq
			if err == nil {
				kind, data := eventOf(e)
				err = out.send(e.Seq, kind, data)
			}
		case <-sign.C:
			err = out.comment()
		}
		if err != nil {
			return
		}
	}
}

// stream writes server-sent events.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (s stream) send(seq uint64, kind string, data any) error {
	text, err := json.Marshal(data) // on one line
	if err != nil {
		return err
	}
	return s.write(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", seq, kind, text))
}

func (s stream) comment() error { return s.write(":\n\n") }

func (s stream) write(text string) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(answerTime)) // not every writer has deadlines
	if _, err := io.WriteString(s.w, text); err != nil {
		return err
	}
	return s.control.Flush()
}

func (s *Server) answerSignIn(w http.ResponseWriter, status int, id schemas.ID) {
	for _, x := range s.agent.Status().SignIns {
		if x.ID == id {
			write(w, status, signInOf(x))
			return
		}
	}
	fail(w, problemOf(fmt.Errorf("%w: sign-in %v", agent.ErrUnknown, id)))
}

// read decodes the body strictly: JSON, one object, no unknown member.
func read(w http.ResponseWriter, r *http.Request, body any) error {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return problem(http.StatusUnsupportedMediaType, "unsupported-media-type", fmt.Sprintf("content type is %.60q, want application/json", kind))
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	dec.DisallowUnknownFields()
	err = dec.Decode(body)
	if err == nil {
		if _, err = dec.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		err = errors.New("something follows the JSON object")
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return problem(http.StatusRequestEntityTooLarge, "too-large", fmt.Sprintf("the body is longer than %d bytes", maxBody))
	}
	return invalid("body: %v", err)
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller is gone
}
