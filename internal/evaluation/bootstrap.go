package evaluation

import (
	"math"
	"runtime"
	"slices"
	"sync"
)

const (
	resamples = 10_000
	seed      = 0x6772616674 // fixed: the same records give the same decision, always
	maxUnits  = 20_000       // rows beyond this are drawn in blocks of neighbours, to bound the time
)

// draws is a bootstrap-t distribution: the estimate, its standard error, and the studentised deviation of
// each resample, ascending.
type draws struct {
	estimate, se float64
	t            []float64
}

// bootstrap studies f(candidate) − f(reference), or f(candidate) alone, when rows are drawn with replacement,
// the same for both. The result does not depend on the number of CPUs.
func bootstrap(candidate ratio, reference *ratio) draws {
	u := candidate.influence()
	d := draws{estimate: candidate.value()}
	if reference != nil {
		d.estimate -= reference.value()
		for i, x := range reference.influence() {
			u[i] -= x
		}
	}
	u = blocks(u, maxUnits)
	d.se = standardError(sums(u))
	d.t = make([]float64, resamples)
	workers := min(runtime.GOMAXPROCS(0), 8)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for s := w; s < resamples; s += workers {
				sum, squares, n := resample(u, uint64(s))
				d.t[s] = studentise(sum, standardError(sum, squares, n))
			}
		})
	}
	wg.Wait()
	slices.Sort(d.t)
	return d
}

// influence of each row on the metric (delta method): how much the metric moves, to first order, when the
// row counts once more: f'(R)·(aᵢ − R·bᵢ)/Σb with R = Σa/Σb. Influences add up to 0.
func (r ratio) influence() []float64 {
	var a, b float64
	for i := range r.a {
		a += r.a[i]
		b += r.b[i]
	}
	slope := r.slope(a / b)
	out := make([]float64, len(r.a))
	for i := range out {
		out[i] = slope * (r.a[i] - a/b*r.b[i]) / b
	}
	return out
}

// standardError of a sum of n influences from their sum and sum of squares.
func standardError(sum, squares float64, n int) float64 {
	spread := squares - sum*sum/float64(n)
	if spread <= 1e-12*squares { // rounding: all are equal
		return 0
	}
	return math.Sqrt(spread * float64(n) / float64(n-1))
}

// studentise is ±Inf when a resample shows a deviation and no spread: that only widens a bound.
func studentise(sum, se float64) float64 {
	if sum == 0 && se == 0 {
		return 0
	}
	return sum / se
}

func sums(u []float64) (sum, squares float64, n int) {
	for _, x := range u {
		sum += x
		squares += x * x
	}
	return sum, squares, len(u)
}

// resample adds up as many rows as there are, drawn with replacement. Resample s is always the same draw.
func resample(u []float64, s uint64) (sum, squares float64, n int) {
	n = len(u)
	state := splitmix(seed ^ s*0x9e3779b97f4a7c15)
	for drawn := 0; drawn < n; {
		state += 0x9e3779b97f4a7c15
		bits := splitmix(state)
		for range min(2, n-drawn) { // two rows of 32 bits each; n is below 2^15, so the bias is below 2^-17
			x := u[int(uint64(uint32(bits))*uint64(n)>>32)]
			bits >>= 32
			drawn++
			sum += x
			squares += x * x
		}
	}
	return sum, squares, n
}

// splitmix is the finaliser of SplitMix64 (Steele, Lea, Flood 2014).
func splitmix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// blocks adds neighbours up until at most most values are left.
func blocks(v []float64, most int) []float64 {
	if len(v) <= most {
		return v
	}
	size := (len(v) + most - 1) / most
	out := make([]float64, 0, most)
	for part := range slices.Chunk(v, size) {
		sum, _, _ := sums(part)
		out = append(out, sum)
	}
	return out
}

// upper bound of the statistic at a one-sided confidence. +Inf if the resamples cannot tell.
func (d draws) upper(confidence float64) float64 {
	return d.bound(d.t[d.tail(confidence)])
}

// lower bound at a one-sided confidence.
func (d draws) lower(confidence float64) float64 {
	return d.bound(d.t[len(d.t)-1-d.tail(confidence)])
}

func (d draws) tail(confidence float64) int {
	return int(math.Floor((1 - confidence) * float64(len(d.t)-1)))
}

func (d draws) bound(t float64) float64 {
	if d.se == 0 {
		return d.estimate
	}
	return d.estimate - t*d.se
}
