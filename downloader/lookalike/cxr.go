package lookalike

import "fmt"

// CXR returns n images in the layout of MIMIC-CXR-JPG, files/p10/p10000032/s50414267/<id>.jpg, sorted by path: some 1.655 images
// to a study and 3.5 studies to a patient, patients spread evenly over p10 to p19. It is the same list for the same n. sizes gives
// the size of the i-th image; a nil one makes them 4 KiB each.
func CXR(n int, sizes func(i int) int64) []GeneratedFile {
	if sizes == nil {
		sizes = func(int) int64 { return 4 << 10 }
	}
	patients := 8 + int(1.1*float64(n)/(1.655*3.5)) // more than are needed, so that the last one stays below 20,000,000
	step := max(1, 10_000_000/patients)
	files := make([]GeneratedFile, 0, n)
	images := 0
	for patient := 0; images < n; patient++ {
		subject := 10_000_000 + patient*step
		draw := splitmix(uint64(subject))
		study := 50_000_000 + int(draw%1_000_000) // studies of one patient ascend, to keep the list sorted
		for range 1 + (draw>>32)%6 {
			study += 1 + int(splitmix(uint64(study))%1_000_000)
			folder := fmt.Sprintf("files/p%02d/p%08d/s%08d", subject/1_000_000, subject, study)
			views := 1
			if splitmix(uint64(study))%1000 < 655 {
				views = 2
			}
			for view := 0; view < views && images < n; view++ {
				files = append(files, GeneratedFile{Path: folder + "/" + imageName(study, view), Size: sizes(images)})
				images++
			}
			if images == n {
				break
			}
		}
	}
	return files
}

// imageName looks like the identifier of an image. Its first digit is the view, to keep the list sorted.
func imageName(study, view int) string {
	a := splitmix(uint64(2*study + view)) //nolint:gosec // never negative
	b := splitmix(a)
	c := splitmix(b)
	const low = 1<<32 - 1
	return fmt.Sprintf("%d%07x-%08x-%08x-%08x-%08x.jpg", view, a>>36, a&low, b>>32, b&low, c&low)
}
