package main

import "github.com/spf13/cobra"

// commands are graft's commands. What is listed works.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.demoCommand(),
		a.runCommand(),
		a.submitCommand(),
		a.runsCommand(),
		a.schedulesCommand(),
		a.validateCommand(),
		a.planCommand(),
		a.trainCommand(),
		a.scoreCommand(),
		a.generateCommand(),
		a.dataCommand(),
		a.baseCommand(),
		a.variantsCommand(),
		a.upCommand(),
		a.workerCommand(),
		a.trainerChildCommand(),
	}
}
