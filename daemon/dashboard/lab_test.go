package dashboard_test

import (
	"math"
	"time"

	"mimicsync/daemon"
	"mimicsync/downloader/progress"
	"mimicsync/store"
)

// A lab's mirror on a Monday afternoon, with something of everything that a page
// can show.
var monday = time.Date(2026, time.November, 23, 15, 42, 10, 0, time.FixedZone("CET", 3600))

func labStatus() daemon.Status {
	return daemon.Status{
		Program: "1.4.0", Mirror: "/srv/physionet.org/files", Now: monday, Started: monday.AddDate(0, 0, -40),
		Window:  daemon.Window{Open: true},
		BWLimit: "08:00,10M 19:00,off", BytesLimit: 10_000_000, Rate: 7_012_000, Free: 3_214_000_000_000,
		Hosts: []daemon.Host{
			{Source: "physionet", Used: 5, Limit: 6, Ceiling: 8, Why: "more connections brought no more bytes"},
			{Source: "gcs", Used: 12, Limit: 24, Ceiling: 64, Why: "the bandwidth limit"},
		},
		Datasets: []daemon.DatasetStatus{
			{
				Dataset: "mimic-cxr", Version: "2.1.0", Latest: true, Scheduled: true, Condition: daemon.Running,
				Entries: 605_027, Files: 371_410, Bytes: 2_866_000_000_000, Published: 4_700_000_000_000,
				Next: monday.AddDate(0, 0, 6), LastSuccess: monday.AddDate(0, 0, -8),
				Pass: &daemon.PassStatus{
					ID: 41, Kind: daemon.RefreshPass, Dataset: "mimic-cxr", Version: "2.1.0", Phase: progress.PhaseTransfer,
					Total: 605_027, Done: 371_410, Failed: 2, Expected: 1_889_000_000_000, Fetched: 66_000_000_000,
					Retries: 37, Connections: 17, Rate: 7_012_000, Left: int64((70*time.Hour + 18*time.Minute).Seconds()),
					Failures: []store.Failure{
						{Path: "files/p10/p10000032/s50414267.txt", Reason: "checksum", Source: "physionet", Detail: "sha256 differs from SHA256SUMS.txt at every source"},
						{Path: "files/p11/p11004218/s53118890/e4f1ab2c-91d0a7c3.dcm", Reason: "network", Source: "gcs", Detail: "no byte for 60 s, 5 times"},
					},
				},
				Versions: []daemon.VersionStatus{{Version: "2.1.0"}, {Version: "2.0.0"}},
			},
			{
				Dataset: "mimic-iv-demo", Version: "2.2", Scheduled: true, Condition: daemon.Idle, Entries: 34, Files: 34, Bytes: 16_034_127,
				Published: 16_034_127, Next: monday.Add(11*time.Hour + 20*time.Minute), NextScrub: monday.AddDate(0, 0, 13),
				LastSuccess: monday.Add(-13 * time.Hour), Complete: true, Last: &daemon.PassStatus{State: store.Complete},
			},
			{
				Dataset: "mimic-iv-note", Version: "2.3", Latest: true, Scheduled: true, Condition: daemon.Parked, Entries: 10, Files: 9,
				Bytes: 3_900_000_000, Published: 4_400_000_000, Next: monday.Add(12 * time.Hour), LastSuccess: monday.AddDate(0, -2, 0),
				Why:  "version 2.3 has an agreement of its own, and it is not signed yet",
				Cure: "sign the agreement: https://physionet.org/sign-dua/mimic-iv-note/2.3/",
				Last: &daemon.PassStatus{State: store.Failed},
			},
			{
				Dataset: "mimiciv", Version: "3.1", Scheduled: true, Condition: daemon.Paused, Entries: 37, Files: 12,
				Bytes: 4_200_000_000, Published: 10_600_000_000,
			},
		},
	}
}

func labTraffic() (hour, days []daemon.Sample) {
	for i := range 360 {
		rate := 7e6 + 6e5*math.Sin(float64(i)/9) + 4e5*math.Sin(float64(i)*1.7)
		if i > 120 && i < 138 {
			rate /= 6 // PhysioNet was busy
		}
		hour = append(hour, daemon.Sample{At: monday.Add(time.Duration(i-360) * 10 * time.Second), Bytes: int64(rate * 10)})
	}
	for i := range 30 {
		n := 0.0
		if i > 7 {
			n = 4.6e11 + 1.8e11*math.Sin(float64(i)*1.3)
		}
		if i == 29 {
			n = 2.9e11
		}
		at := monday.AddDate(0, 0, i-29)
		days = append(days, daemon.Sample{At: time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, at.Location()), Bytes: int64(n)})
	}
	return hour, days
}

func labHistory() []daemon.PassStatus {
	return []daemon.PassStatus{
		{ID: 40, Kind: daemon.RefreshPass, Dataset: "mimic-iv-demo", Version: "2.2", State: store.Complete, Start: monday.Add(-13 * time.Hour), Elapsed: 0.8},
		{
			ID: 39, Kind: daemon.RefreshPass, Dataset: "mimic-iv-note", Version: "2.3", State: store.Failed, Start: monday.Add(-14 * time.Hour), Elapsed: 2.1,
			Error: "physionet refuses mimic-iv-note 2.3: the agreement is not signed",
		},
		{ID: 38, Kind: daemon.ScrubPass, Dataset: "mimic-iv-demo", Version: "2.2", State: store.Complete, Start: monday.Add(-40 * time.Hour), Elapsed: 3.4},
		{ID: 37, Kind: daemon.PullPass, Dataset: "mimiciv", Version: "3.1", State: store.Interrupted, Start: monday.Add(-70 * time.Hour), Elapsed: 4210, Fetched: 4_200_000_000},
		{
			ID: 36, Kind: daemon.RefreshPass, Dataset: "mimic-cxr", Version: "2.1.0", State: store.Incomplete, Start: monday.AddDate(0, 0, -9),
			Elapsed: 122_400, Fetched: 1_120_000_000_000, Failed: 3,
		},
	}
}
