package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/graft-ml/graft/workflows"
)

func (a *app) runsCommand() *cobra.Command {
	c := &cobra.Command{Use: "runs", Short: "List, show, watch and cancel runs", GroupID: "run"}
	t := a.targetFlags(c)
	c.AddCommand(a.runsLs(t), a.runsShow(t), a.runsWatch(t), a.runsReport(t), a.runsCancel(t))
	return c
}

// runRow is one line of `graft runs ls`.
type runRow struct {
	Run     string     `json:"run"`
	Variant string     `json:"variant"`
	Method  string     `json:"method"`
	Phase   string     `json:"phase"`
	Started time.Time  `json:"started"`
	Ended   *time.Time `json:"ended,omitempty"`
}

func (a *app) runsLs(t *targetFlags) *cobra.Command {
	var limit int32
	c := &cobra.Command{Use: "ls", Short: "List runs, the newest first", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			at, err := a.connect(c.Context(), t)
			if err != nil {
				return err
			}
			defer at.close()
			rows, err := listRuns(c.Context(), at, limit)
			if err != nil || a.json {
				return a.orJSON(rows, err)
			}
			w := a.table("RUN", "VARIANT", "METHOD", "PHASE", "STARTED", "TOOK")
			for _, r := range rows {
				took := time.Since(r.Started)
				if r.Ended != nil {
					took = r.Ended.Sub(r.Started)
				}
				w.row(r.Run, r.Variant, r.Method, r.Phase, r.Started.Local().Format("2006-01-02 15:04"), short(took.Seconds()))
			}
			return w.flush()
		}}
	c.Flags().Int32VarP(&limit, "limit", "n", 20, "at most so many")
	return c
}

func listRuns(ctx context.Context, at *target, limit int32) ([]runRow, error) {
	resp, err := at.client.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		PageSize: limit, Query: "WorkflowType = 'FineTune'",
	})
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	rows := []runRow{}
	for _, e := range resp.Executions {
		attrs := e.GetSearchAttributes().GetIndexedFields()
		r := runRow{Run: e.GetExecution().GetWorkflowId(), Started: e.GetStartTime().AsTime(),
			Variant: keywordOf(attrs[workflows.AttrVariant.GetName()]), Method: keywordOf(attrs[workflows.AttrMethod.GetName()]),
			Phase: keywordOf(attrs[workflows.AttrPhase.GetName()])}
		if e.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED {
			r.Phase = "terminated"
		}
		if e.GetCloseTime() != nil {
			end := e.GetCloseTime().AsTime()
			r.Ended = &end
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func (a *app) runsShow(t *targetFlags) *cobra.Command {
	return &cobra.Command{Use: "show RUN", Short: "Show how far a run is, or what came of it", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			at, err := a.connect(c.Context(), t)
			if err != nil {
				return err
			}
			defer at.close()
			p, err := workflows.Ask(c.Context(), at.client, args[0])
			if err != nil {
				return noRun(args[0], err)
			}
			stages := stageTimes(c.Context(), at.client, args[0])
			if a.json {
				return a.writeJSON(shownRun{p, stages})
			}
			return a.showProgress(at, p, stages)
		}}
}

// noRun says in graft's words that an id is that of no run.
func noRun(id string, err error) error {
	if errors.As(err, new(*serviceerror.NotFound)) {
		return usagef("no run %s: `graft runs ls` lists them", id)
	}
	return err
}

// shownRun is what `graft runs show --json` prints.
type shownRun struct {
	workflows.Progress
	Stages []stageTime `json:"stages"`
}

// stageTime is how long a stage has taken, from its start as a child workflow to its end or to now.
type stageTime struct {
	Stage   string  `json:"stage"`
	Seconds float64 `json:"seconds"`
	Running bool    `json:"running,omitempty"`
}

// stageTimes asks Temporal about the run's child workflows; those that have not begun are left out.
func stageTimes(ctx context.Context, c client.Client, id string) []stageTime {
	var out []stageTime
	for _, stage := range []string{"prepare", "train", "evaluate", "publish"} {
		d, err := c.DescribeWorkflowExecution(ctx, id+"/"+stage, "")
		if err != nil {
			continue
		}
		info := d.GetWorkflowExecutionInfo()
		t := stageTime{Stage: stage, Running: info.GetCloseTime() == nil}
		end := time.Now()
		if !t.Running {
			end = info.GetCloseTime().AsTime()
		}
		t.Seconds = end.Sub(info.GetStartTime().AsTime()).Seconds()
		out = append(out, t)
	}
	return out
}

func stageText(stages []stageTime) string {
	var parts []string
	for _, s := range stages {
		parts = append(parts, s.Stage+" "+short(s.Seconds))
	}
	return strings.Join(parts, " · ")
}

func (a *app) showProgress(at *target, p workflows.Progress, stages []stageTime) error {
	w := a.table()
	w.row("run", p.RunID)
	w.row("phase", p.Phase)
	w.row("variant", p.Run.Variant)
	w.row("method", p.Run.Method)
	w.row("base", p.Run.Base+" "+shortDigest(p.Run.BaseDigest))
	if p.Data.Digest != "" {
		w.row("data", fmt.Sprintf("%s examples to train on, %s held out, %s dropped (manifest %s)", thousands(int64(p.Data.Train.Examples)),
			thousands(int64(p.Data.Holdout.Examples)), thousands(p.Data.Dropped), shortDigest(p.Data.Digest)))
	}
	if l := describe(p); l.total > 0 {
		w.row("progress", fmt.Sprintf("%d/%d %s", l.done, l.total, l.text))
	}
	if p.Trained.Step > 0 {
		w.row("trained", fmt.Sprintf("%d steps, %s tokens in %s, last loss %.4f", p.Trained.Step, thousands(p.Trained.Tokens), short(p.Trained.Seconds), p.Trained.Loss))
	}
	for _, s := range p.Scored {
		w.row("scored "+s.Subject, metricText(s.Metrics))
	}
	for _, g := range p.Gate {
		w.row("gate", gateText(g))
	}
	if p.Version.Number > 0 {
		w.row("version", fmt.Sprintf("%s@%d  %s", p.Version.Variant, p.Version.Number, p.Version.URI))
	}
	if len(stages) > 0 {
		w.row("took", stageText(stages))
	}
	if p.Report != "" {
		w.row("report", p.Report)
	}
	if p.Retrying != "" {
		w.row("retrying", p.Retrying)
	}
	if p.Failure != "" {
		w.row("failure", p.Kind+": "+p.Failure)
	}
	if url := at.runURL(p.RunID); url != "" {
		w.row("ui", url)
	}
	return w.flush()
}

func (a *app) runsWatch(t *targetFlags) *cobra.Command {
	return &cobra.Command{Use: "watch RUN", Short: "Show a run live until it ends", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			at, err := a.connect(c.Context(), t)
			if err != nil {
				return err
			}
			defer at.close()
			return a.follow(c.Context(), at, args[0])
		}}
}

func (a *app) runsCancel(t *targetFlags) *cobra.Command {
	return &cobra.Command{Use: "cancel RUN", Short: "Stop a run at its next step boundary; nothing is published", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			at, err := a.connect(c.Context(), t)
			if err != nil {
				return err
			}
			defer at.close()
			if err := at.client.CancelWorkflow(c.Context(), args[0], ""); err != nil {
				return noRun(args[0], fmt.Errorf("cancel run %s: %w", args[0], err))
			}
			_, err = fmt.Fprintf(a.out, "run %s was asked to stop\n", args[0])
			return err
		}}
}
