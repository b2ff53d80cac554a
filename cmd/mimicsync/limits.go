package main

import (
	"cmp"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/cmd/mimicsync/internal/words"
	"mimicsync/configs"
	"mimicsync/downloader/cost"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/tree"
)

// limits are the limits and safety settings of a command. The texts are flags; an empty one
// was not given; settle reads them.
type limits struct {
	bwlimit, maxTransfer, maxDuration, maxCost, durability string

	bandwidth *pace.Bandwidth // of all connections of the process
	transfer  int64           // bytes of entries, 0: no limit
	duration  time.Duration   // 0: no limit
	cost      *cost.Money     // nil: no limit
	syncs     tree.Durability // empty: the default
}

func (l *limits) bandwidthFlag(f *pflag.FlagSet) {
	f.StringVar(&l.bwlimit, "bwlimit", "", "receive at most `RATE` bytes per second: 10M, 512k, off, or \"08:00,2M 19:00,off\"")
}

func (l *limits) passFlags(f *pflag.FlagSet) {
	f.StringVar(&l.maxTransfer, "max-transfer", "", "stop after `SIZE` of files: 500M, 50G; a number without a unit is KiB, as in rclone")
	f.StringVar(&l.maxDuration, "max-duration", "", "stop after this `time`: 90m, 8h, 1d, off")
	f.StringVar(&l.maxCost, "max-cost", "", "spend at most this many US `dollars` at sources where the reader pays: 20, 0.50, off")
	f.StringVar(&l.durability, "durability", "", "how to sync against power cuts: files in a `group`, each file, or none (default group)")
}

// settle reads the limits; file fills in those not given.
func (l *limits) settle(file configs.Config) error {
	timetable, err := pace.ParseTimetable(cmp.Or(l.bwlimit, file.BWLimit, "off"))
	if err != nil {
		return advice.Usagef("--bwlimit: %w", err)
	}
	l.bandwidth = pace.NewBandwidth(timetable)
	if l.transfer, err = pace.ParseSize(cmp.Or(l.maxTransfer, file.MaxTransfer, "off")); err != nil {
		return advice.Usagef("--max-transfer: %w", err)
	}
	if l.duration, err = configs.ParseMaxDuration(cmp.Or(l.maxDuration, file.MaxDuration, configs.Off)); err != nil {
		return advice.Usagef("--max-duration: %w", err)
	}
	if l.cost, err = configs.ParseCost(cmp.Or(l.maxCost, file.MaxCost, "off")); err != nil {
		return advice.Usagef("--max-cost: %w", err)
	}
	if l.syncs, err = tree.ParseDurability(cmp.Or(l.durability, file.Durability, string(tree.GroupDurability))); err != nil {
		return advice.Usagef("--durability: %w", err)
	}
	return nil
}

// ofPass describes the limits of a pass, empty if there are none.
func (l *limits) ofPass() string {
	var all []string
	if l.transfer > 0 {
		all = append(all, words.Size(l.transfer)+" of files")
	}
	if l.duration > 0 {
		all = append(all, l.duration.String())
	}
	if l.cost != nil {
		all = append(all, l.cost.String())
	}
	return strings.Join(all, ", ")
}
