package workflows

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
)

// When says how often a recipe is run again. Cron or Every, never both.
type When struct {
	Cron     string        // five fields, in Timezone
	Every    time.Duration // from the epoch
	Timezone string        // IANA name; empty is UTC
	Jitter   time.Duration // at most so much later
	CatchUp  time.Duration // firings missed for longer than this are skipped; 0 is DefaultCatchUp
}

// DefaultCatchUp: after an outage the newest missed firings of an hour are made up for. Temporal's own
// default is a year.
const DefaultCatchUp = time.Hour

// ErrScheduleExists: a schedule of this id is there.
var ErrScheduleExists = errors.New("the schedule exists")

const schedulePrefix = "retrain/"

// ScheduleID is the id of a variant's schedule.
func ScheduleID(variant string) string { return schedulePrefix + variant }

func (w When) spec() client.ScheduleSpec {
	s := client.ScheduleSpec{TimeZoneName: w.Timezone, Jitter: w.Jitter}
	if w.Cron != "" {
		s.CronExpressions = []string{w.Cron}
	}
	if w.Every > 0 {
		s.Intervals = []client.ScheduleIntervalSpec{{Every: w.Every}}
	}
	return s
}

func (w When) catchUp() time.Duration {
	if w.CatchUp > 0 {
		return w.CatchUp
	}
	return DefaultCatchUp
}

// action starts FineTune. Temporal appends the firing time to the id, so that each firing is a run of
// its own; the recipe is resolved anew at each.
func action(in Input, l Listing) *client.ScheduleWorkflowAction {
	in.Trigger = "schedule"
	return &client.ScheduleWorkflowAction{
		// No slash: a run's id is one element of its keys.
		ID: strings.ReplaceAll(l.Variant, "/", "-"), Workflow: FineTune, Args: []any{in}, TaskQueue: QueueControl,
		TypedSearchAttributes: l.Attributes(PhaseQueued), StaticSummary: l.summary(), StaticDetails: details(in),
	}
}

// Schedule is a recipe's schedule on a Temporal namespace.
type Schedule struct {
	ID     string
	When   When
	Input  Input
	List   Listing
	Paused bool
	Note   string
}

// overlap: a firing while the last run still goes on is skipped; the next one sees all the data anyway.
const overlap = enumspb.SCHEDULE_OVERLAP_POLICY_SKIP

// CreateSchedule makes a new schedule, or says ErrScheduleExists.
func CreateSchedule(ctx context.Context, c client.Client, s Schedule) error {
	_, err := c.ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID: s.ID, Spec: s.When.spec(), Action: action(s.Input, s.List),
		Overlap: overlap, CatchupWindow: s.When.catchUp(), PauseOnFailure: false,
		Paused: s.Paused, Note: s.Note,
		TypedSearchAttributes: temporal.NewSearchAttributes(s.List.updates()...),
	})
	if errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return fmt.Errorf("create schedule %s: %w", s.ID, ErrScheduleExists)
	}
	if err != nil {
		return fmt.Errorf("create schedule %s: %w", s.ID, err)
	}
	return nil
}

// UpdateSchedule gives an existing schedule a new recipe and time. Its pause and its past stay.
func UpdateSchedule(ctx context.Context, c client.Client, s Schedule) error {
	err := c.ScheduleClient().GetHandle(ctx, s.ID).Update(ctx, client.ScheduleUpdateOptions{
		DoUpdate: func(was client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
			next := was.Description.Schedule
			spec := s.When.spec()
			next.Spec, next.Action = &spec, action(s.Input, s.List)
			next.Policy = &client.SchedulePolicies{Overlap: overlap, CatchupWindow: s.When.catchUp()}
			attributes := temporal.NewSearchAttributes(s.List.updates()...)
			return &client.ScheduleUpdate{Schedule: &next, TypedSearchAttributes: &attributes}, nil
		},
	})
	if err != nil {
		return fmt.Errorf("update schedule %s: %w", s.ID, err)
	}
	return nil
}

// PutSchedule creates a schedule or, if it is there, updates it: a recipe's edit reaches its schedule.
func PutSchedule(ctx context.Context, c client.Client, s Schedule) error {
	err := CreateSchedule(ctx, c, s)
	if errors.Is(err, ErrScheduleExists) {
		return UpdateSchedule(ctx, c, s)
	}
	return err
}

// TriggerSchedule fires now, whatever the time; like any firing it is skipped while a run goes on.
func TriggerSchedule(ctx context.Context, c client.Client, id string) error {
	err := c.ScheduleClient().GetHandle(ctx, id).Trigger(ctx, client.ScheduleTriggerOptions{Overlap: overlap})
	return about("trigger", id, err)
}

// PauseSchedule holds firings until ResumeSchedule; why is shown in the UI.
func PauseSchedule(ctx context.Context, c client.Client, id, why string) error {
	return about("pause", id, c.ScheduleClient().GetHandle(ctx, id).Pause(ctx, client.SchedulePauseOptions{Note: why}))
}

// ResumeSchedule lets a paused schedule fire again.
func ResumeSchedule(ctx context.Context, c client.Client, id, why string) error {
	return about("resume", id, c.ScheduleClient().GetHandle(ctx, id).Unpause(ctx, client.ScheduleUnpauseOptions{Note: why}))
}

// DeleteSchedule removes a schedule; runs that it started go on.
func DeleteSchedule(ctx context.Context, c client.Client, id string) error {
	return about("delete", id, c.ScheduleClient().GetHandle(ctx, id).Delete(ctx))
}

// ErrNoSchedule: no schedule has this id.
var ErrNoSchedule = errors.New("no such schedule")

func about(verb, id string, err error) error {
	var missing *serviceerror.NotFound
	if errors.As(err, &missing) {
		return fmt.Errorf("%s schedule %s: %w", verb, id, ErrNoSchedule)
	}
	if err != nil {
		return fmt.Errorf("%s schedule %s: %w", verb, id, err)
	}
	return nil
}

// ScheduleRow is one line of a list of schedules.
type ScheduleRow struct {
	ID       string      `json:"id"`
	Variant  string      `json:"variant"`
	Cron     []string    `json:"cron,omitempty"`
	Every    string      `json:"every,omitempty"`
	Timezone string      `json:"timezone,omitempty"`
	Paused   bool        `json:"paused"`
	Note     string      `json:"note,omitempty"`
	Next     []time.Time `json:"next"`
	Recent   []string    `json:"recent"` // ids of the runs it started last
}

// ListSchedules returns the namespace's schedules that start runs, in the server's order.
func ListSchedules(ctx context.Context, c client.Client) ([]ScheduleRow, error) {
	it, err := c.ScheduleClient().List(ctx, client.ScheduleListOptions{PageSize: 100})
	if err != nil {
		return nil, fmt.Errorf("list schedules: %w", err)
	}
	var out []ScheduleRow
	for it.HasNext() {
		e, err := it.Next()
		if err != nil {
			return nil, fmt.Errorf("list schedules: %w", err)
		}
		if e.WorkflowType.Name != "FineTune" {
			continue
		}
		out = append(out, row(e))
	}
	return out, nil
}

func row(e *client.ScheduleListEntry) ScheduleRow {
	r := ScheduleRow{ID: e.ID, Paused: e.Paused, Note: e.Note, Next: e.NextActionTimes}
	if e.Spec != nil {
		r.Cron, r.Timezone = e.Spec.CronExpressions, e.Spec.TimeZoneName
		for _, c := range e.Spec.Calendars { // what the server makes of a cron expression
			r.Cron = append(r.Cron, cronOf(c))
		}
		for _, i := range e.Spec.Intervals {
			r.Every = i.Every.String()
		}
	}
	for _, a := range e.RecentActions {
		if a.StartWorkflowResult != nil {
			r.Recent = append(r.Recent, a.StartWorkflowResult.WorkflowID)
		}
	}
	r.Variant = strings.TrimPrefix(e.ID, schedulePrefix)
	return r
}

// cronOf writes a calendar as the five cron fields it came from.
func cronOf(c client.ScheduleCalendarSpec) string {
	return strings.Join([]string{
		cronField(c.Minute, 0, 59), cronField(c.Hour, 0, 23), cronField(c.DayOfMonth, 1, 31),
		cronField(c.Month, 1, 12), cronField(c.DayOfWeek, 0, 6),
	}, " ")
}

func cronField(ranges []client.ScheduleRange, low, high int) string {
	var parts []string
	for _, r := range ranges {
		text := strconv.Itoa(r.Start)
		switch {
		case r.Start == low && r.End == high:
			text = "*"
		case r.End > r.Start:
			text += "-" + strconv.Itoa(r.End)
		}
		if r.Step > 1 {
			text += "/" + strconv.Itoa(r.Step)
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 {
		return "*"
	}
	return strings.Join(parts, ",")
}
