package cmd

// commands are all commands, in the order of the help text.
var commands = []command{
	doCommand,
	specCommand,

	createCommand,
	startCommand,
	runCommand,
	stateCommand,
	listCommand,
	psCommand,
	eventsCommand,
	execCommand,
	killCommand,
	pauseCommand,
	resumeCommand,
	updateCommand,
	waitCommand,
	deleteCommand,
	checkpointCommand,
	restoreCommand,

	featuresCommand,
	syscallsCommand,
	helpCommand,
}
