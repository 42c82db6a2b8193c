package adapters_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/graft-ml/graft/adapters"
	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/objectstore/fault"
	"github.com/graft-ml/graft/internal/objectstore/mem"
)

func move(to, expect int) adapters.Move {
	return adapters.Move{Variant: variant, Alias: adapters.Live, To: to, Expect: expect, By: "tester", Reason: "test"}
}

func TestMove(t *testing.T) {
	s := new(mem.Store)
	r := adapters.New(s)
	for i := range 3 {
		publish(t, s, fmt.Sprint("run-", i))
	}
	for _, c := range []struct {
		name      string
		move      adapters.Move
		want      error
		at, moves int // where the alias is afterwards
	}{
		{"new", move(1, 0), nil, 1, 1},
		{"on", move(2, 1), nil, 2, 2},
		{"expects an older one", move(3, 1), adapters.ErrMoved, 2, 2},
		{"expects none", move(3, 0), adapters.ErrMoved, 2, 2},
		{"to where it is", move(2, 2), nil, 2, 2},
		{"to nothing", move(9, 2), objectstore.ErrNotFound, 2, 2},
		{"from anywhere", move(3, adapters.Any), nil, 3, 3},
	} {
		_, err := r.Move(t.Context(), c.move)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || objectstore.Retryable(err) {
			t.Errorf("%s: %v", c.name, err)
		}
		a, err := r.Alias(t.Context(), variant, adapters.Live)
		if err != nil || a.Version != c.at || a.Generation != c.moves || len(a.History) != c.moves {
			t.Errorf("%s: %+v, %v", c.name, a, err)
		}
	}
	if m, err := r.Resolve(t.Context(), variant); err != nil || m.Version != 3 {
		t.Errorf("%s is version %d, %v", variant, m.Version, err)
	}
	all, err := r.Aliases(t.Context(), variant)
	if err != nil || len(all) != 1 || all[0].Alias != adapters.Live {
		t.Errorf("aliases %v, %v", all, err)
	}
}

func TestRollback(t *testing.T) {
	s := new(mem.Store)
	r := adapters.New(s)
	back := adapters.Move{Variant: variant, Alias: adapters.Live, By: "tester"}
	if _, err := r.Rollback(t.Context(), back); !errors.Is(err, objectstore.ErrNotFound) {
		t.Errorf("without an alias: %v", err)
	}
	for i := range 3 {
		publish(t, s, fmt.Sprint("run-", i))
		if _, err := r.Move(t.Context(), move(i+1, i)); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if _, err := r.Rollback(t.Context(), back); err == nil || !strings.Contains(err.Error(), "only ever") {
				t.Errorf("from the first version: %v", err)
			}
		}
	}
	if a, err := r.Rollback(t.Context(), back); err != nil || a.Version != 2 || a.Generation != 4 {
		t.Errorf("%+v, %v", a, err)
	}
	back.To = 1
	if a, err := r.Rollback(t.Context(), back); err != nil || a.Version != 1 || a.History[4].From != 2 {
		t.Errorf("%+v, %v", a, err)
	}
}

// A move whose answer is lost is found to have been made, now or when it is tried again later.
func TestMoveAnswerLost(t *testing.T) {
	s := new(mem.Store)
	publish(t, s, "run-1")
	publish(t, s, "run-2")
	m := move(1, 0)
	m.ID = "run-1/live"
	if a, err := adapters.New(fault.New(s, 1, fault.At(0, fault.After))).Move(t.Context(), m); err != nil || a.Generation != 1 {
		t.Fatalf("%+v, %v", a, err)
	}
	if _, err := adapters.New(s).Move(t.Context(), move(2, 1)); err != nil {
		t.Fatal(err)
	}
	if a, err := adapters.New(s).Move(t.Context(), m); err != nil || a.Version != 2 || a.Generation != 2 {
		t.Errorf("the first move, tried again after another: %+v, %v", a, err)
	}
}

// Of movers that expect the same version one wins; moves from anywhere are all made, none twice.
func TestMoveRace(t *testing.T) {
	s := new(mem.Store)
	for i := range 3 {
		publish(t, s, fmt.Sprint("run-", i))
	}
	if _, err := adapters.New(s).Move(t.Context(), move(1, 0)); err != nil {
		t.Fatal(err)
	}
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			_, err := adapters.New(s).Move(t.Context(), adapters.Move{Variant: variant, Alias: adapters.Live, To: 2 + i%2, Expect: 1, By: "racer"})
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, adapters.ErrMoved) {
				t.Errorf("%v", err)
			}
		})
	}
	wg.Wait()
	a, err := adapters.New(s).Alias(t.Context(), variant, adapters.Live)
	if err != nil || won.Load() != 1 || a.Generation != 2 {
		t.Errorf("%d won, generation %d, %v", won.Load(), a.Generation, err)
	}
}
