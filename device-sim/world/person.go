package world

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/carillon-iot/carillon/device-sim/phone"
	"github.com/carillon-iot/carillon/device-sim/provider"
)

// A Person has a phone, on which requests wait until Decide.
type Person struct {
	provider.Person

	op      *provider.Provider
	phone   *phone.Phone
	journal *journal

	mu   sync.Mutex // guards the fields below
	open []*question
	last provider.Request // the latest that was shown
}

// question is a request that waits on the screen of a phone.
type question struct {
	request provider.Request
	answer  chan phone.Verdict // of capacity 1
}

func newPerson(who provider.Person, op *provider.Provider, j *journal) (*Person, error) {
	p := &Person{Person: who, op: op, journal: j}
	var err error
	p.phone, err = phone.New(phone.Config{
		Provider: op, Subject: who.Subject, Decide: p.wait, OnShow: p.shown, OnDone: p.done,
	})
	return p, err
}

// Key is how scenarios and commands call the person: "anna".
func (p *Person) Key() string { return strings.ToLower(p.Name) }

func (p *Person) run(ctx context.Context) error {
	if err := p.phone.Run(ctx); !errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%s's phone: %w", p.Name, err)
	}
	return nil
}

// Rings is how many requests the provider has accepted for the person since
// the world began: pushes. Shown is how often the phone has rung, whoever sent.
func (p *Person) Rings() int { return p.op.Rings(p.Subject) }

// Shown is how often the phone itself has been told of a request.
func (p *Person) Shown() int { return p.phone.Total() }

// Asked returns the request that has waited longest on the screen.
func (p *Person) Asked() (provider.Request, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.open) == 0 {
		return provider.Request{}, false
	}
	return p.open[0].request, true
}

// Last returns the request that was shown last, whatever became of it.
func (p *Person) Last() (provider.Request, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last, p.last.ID != ""
}

// Decide answers the request that has waited longest on the screen.
func (p *Person) Decide(v phone.Verdict) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.open) == 0 {
		return fmt.Errorf("nothing waits on %s's phone", p.Name)
	}
	p.open[0].answer <- v
	p.open = p.open[1:]
	return nil
}

// ApproveLate approves what was shown last, even if it is no longer on the
// screen, and returns what the provider says to that.
func (p *Person) ApproveLate(ctx context.Context) error {
	r, ok := p.Last()
	if !ok {
		return fmt.Errorf("%s's phone has shown nothing", p.Name)
	}
	return p.op.Approve(ctx, r.ID, provider.Approval{})
}

// wait is the phone's decision: the person's, when it comes.
func (p *Person) wait(ctx context.Context, r provider.Request) phone.Decision {
	q := &question{r, make(chan phone.Verdict, 1)}
	p.mu.Lock()
	p.open = append(p.open, q)
	p.mu.Unlock()
	p.journal.wake()
	select {
	case v := <-q.answer:
		return phone.Decision{Verdict: v}
	case <-ctx.Done():
		p.forget(q)
		return phone.Decision{}
	}
}

func (p *Person) forget(q *question) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, o := range p.open {
		if o == q {
			p.open = append(p.open[:i:i], p.open[i+1:]...)
			return
		}
	}
}

func (p *Person) who() string { return p.Name + "'s phone" }

func (p *Person) shown(r provider.Request) {
	p.mu.Lock()
	p.last = r
	p.mu.Unlock()
	var titles []string
	for _, s := range r.Scopes {
		titles = append(titles, s.Title)
	}
	text := fmt.Sprintf("rings: %s asks for %s", r.ClientName, strings.Join(titles, ", "))
	if r.BindingMessage != "" {
		text += fmt.Sprintf(" (%s)", r.BindingMessage)
	}
	p.journal.tell(Event{Who: p.who(), What: "rings", Text: text})
}

func (p *Person) done(_ provider.Request, d phone.Decision, err error) {
	e := Event{Who: p.who(), What: d.Verdict.String(), Text: d.Verdict.String()}
	if err != nil {
		e.What, e.Text = "too-late", fmt.Sprintf("%v, but the provider did not take it: %v", d.Verdict, err)
	}
	p.journal.tell(e)
}
