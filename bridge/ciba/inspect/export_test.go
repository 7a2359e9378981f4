package inspect

// Topics is how many topics there are.
const Topics = int(topics)

// WordsFor counts the topics for which the console of a profile has words.
func WordsFor(profile string) (n int) {
	for _, words := range consoles()[profile] {
		if words != "" {
			n++
		}
	}
	return n
}
