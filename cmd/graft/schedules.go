package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"github.com/graft-ml/graft/workflows"
)

func (a *app) schedulesCommand() *cobra.Command {
	c := &cobra.Command{Use: "schedules", Short: "Create, list, trigger, pause and delete retraining schedules", GroupID: "run"}
	t := a.targetFlags(c)
	c.AddCommand(a.schedulesLs(t), a.schedulesCreate(t),
		a.scheduleVerb(t, "trigger", "Fire a variant's schedule now", "fired", func(ctx context.Context, c client.Client, id string) error {
			return workflows.TriggerSchedule(ctx, c, id)
		}),
		a.scheduleVerb(t, "pause", "Hold a variant's schedule", "paused", func(ctx context.Context, c client.Client, id string) error {
			return workflows.PauseSchedule(ctx, c, id, "paused by "+userName())
		}),
		a.scheduleVerb(t, "resume", "Let a paused schedule fire again", "resumed", func(ctx context.Context, c client.Client, id string) error {
			return workflows.ResumeSchedule(ctx, c, id, "resumed by "+userName())
		}),
		a.scheduleVerb(t, "delete", "Remove a variant's schedule; runs that it started go on", "deleted", workflows.DeleteSchedule),
	)
	return c
}

func (a *app) schedulesLs(t *targetFlags) *cobra.Command {
	return &cobra.Command{Use: "ls", Short: "List schedules", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			at, err := a.connect(c.Context(), t)
			if err != nil {
				return err
			}
			defer at.close()
			rows, err := workflows.ListSchedules(c.Context(), at.client)
			if err != nil || a.json {
				return a.orJSON(rows, err)
			}
			w := a.table("VARIANT", "WHEN", "NEXT", "STATE", "LAST RUN")
			for _, r := range rows {
				w.row(r.Variant, scheduleTime(r), nextFiring(r), stateText(r), last(r.Recent))
			}
			return w.flush()
		}}
}

func scheduleTime(r workflows.ScheduleRow) string {
	if r.Every != "" {
		return "every " + r.Every
	}
	return strings.TrimSpace(strings.Join(r.Cron, ", ") + " " + r.Timezone)
}

func nextFiring(r workflows.ScheduleRow) string {
	if len(r.Next) == 0 || r.Paused {
		return "-"
	}
	return r.Next[0].Local().Format(time.DateTime)
}

func stateText(r workflows.ScheduleRow) string {
	if r.Paused {
		return "paused"
	}
	return "active"
}

func last(ids []string) string {
	if len(ids) == 0 {
		return "-"
	}
	return ids[len(ids)-1]
}

func (a *app) schedulesCreate(t *targetFlags) *cobra.Command {
	return &cobra.Command{Use: "create RECIPE", Short: "Create the schedule of a recipe, or update it after an edit", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			in, r, err := readRecipe(args[0], t, nil)
			if err != nil {
				return err
			}
			if r.Schedule == nil {
				return usagef("%s: no schedule: add one, such as {cron: \"0 3 * * 1\", timezone: Europe/London}", args[0])
			}
			at, err := a.connect(c.Context(), t)
			if err != nil {
				return err
			}
			defer at.close()
			err = workflows.PutSchedule(c.Context(), at.client, workflows.Schedule{
				ID: workflows.ScheduleID(r.Variant), Input: in, List: listing(r),
				When: workflows.When{Cron: r.Schedule.Cron, Timezone: r.Schedule.Timezone},
			})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.out, "%s retrains at %s (%s)\n", r.Variant, r.Schedule.Cron, r.Schedule.Timezone)
			return err
		}}
}

// scheduleVerb is a command that does one thing to the schedule of one variant.
func (a *app) scheduleVerb(t *targetFlags, verb, short, done string, do func(context.Context, client.Client, string) error) *cobra.Command {
	return &cobra.Command{Use: verb + " TEAM/VARIANT", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			at, err := a.connect(c.Context(), t)
			if err != nil {
				return err
			}
			defer at.close()
			err = do(c.Context(), at.client, workflows.ScheduleID(args[0]))
			if errors.Is(err, workflows.ErrNoSchedule) {
				return usageError{err}
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.out, "schedule of %s %s\n", args[0], done)
			return err
		}}
}
