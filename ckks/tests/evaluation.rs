//! Vectors, matrices, polynomials, comparisons and statistics, against plain arithmetic.

#![expect(clippy::cast_precision_loss, clippy::unwrap_used, reason = "a test file: a panic is the report")]

use ckks::{
    Automorphism, Ciphertext, GaloisKeys, Mismatch, Params, PlainMatrix, Plaintext, Polynomial, RelinKey,
    SecretKey, Sign, mean, variance,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

struct Bench {
    params: Params,
    rng: StdRng,
    secret: SecretKey,
    relin: RelinKey,
}

impl Bench {
    fn new(params: Params) -> Self {
        let mut rng = StdRng::seed_from_u64(1);
        let secret = SecretKey::generate(&params, &mut rng);
        let relin = RelinKey::generate(&secret, &mut rng).unwrap();
        Self { params, rng, secret, relin }
    }

    fn encrypt(&mut self, values: &[f64], level: usize) -> Ciphertext {
        let plaintext = Plaintext::from_slots(&self.params, values, &self.params.scale()).unwrap();
        self.secret.encrypt(&plaintext, level, &mut self.rng).unwrap().expand()
    }

    fn galois(&mut self, which: impl IntoIterator<Item = Automorphism>) -> GaloisKeys {
        GaloisKeys::generate(&self.secret, which, &mut self.rng).unwrap()
    }

    fn assert_slots(&self, ciphertext: &Ciphertext, wanted: &[f64], tolerance: f64) {
        let slots = self.secret.decrypt_raw(ciphertext).unwrap().real_slots_raw();
        for (i, (a, b)) in slots.iter().zip(wanted).enumerate() {
            assert!((a - b).abs() < tolerance, "slot {i}: {a} and not {b}");
        }
    }
}

fn ramp(n: usize) -> Vec<f64> {
    (0..n).map(|i| 2.0 * i as f64 / n as f64 - 1.0).collect()
}

#[test]
fn linear_operations_are_linear() {
    for params in [Params::sums_2048(), Params::light(), Params::medium()] {
        let mut b = bare(params);
        let x = ramp(b.params.slots());
        let y: Vec<f64> = x.iter().map(|x| x * x).collect();
        let level = b.params.max_level();
        let (cx, cy) = (b.encrypt(&x, level), b.encrypt(&y, level));
        let tolerance = 2f64.powf(15.0 - f64::from(b.params.log_scale()));
        let with = |f: &dyn Fn(f64, f64) -> f64| x.iter().zip(&y).map(|(x, y)| f(*x, *y)).collect::<Vec<_>>();
        b.assert_slots(&cx.add(&cy).unwrap(), &with(&|x, y| x + y), tolerance);
        b.assert_slots(&cx.sub(&cy).unwrap(), &with(&|x, y| x - y), tolerance);
        let mut c = cx.clone();
        c.negate();
        c.add_constant(0.25).unwrap();
        b.assert_slots(&c, &with(&|x, _| 0.25 - x), tolerance);
        let plain = Plaintext::from_slots(&b.params, &y, &b.params.scale()).unwrap();
        let mut c = cx.clone();
        c.add_plain(&plain).unwrap();
        c.sub_plain(&plain).unwrap();
        c.add_plain(&plain).unwrap();
        b.assert_slots(&c, &with(&|x, y| x + y), tolerance);
        if level > 0 {
            let mut c = cx.clone();
            let neutral = b.params.level_scale(level);
            c.mul_plain(&Plaintext::from_slots(&b.params, &y, &neutral).unwrap().prepare(level)).unwrap();
            c.rescale().unwrap();
            assert_eq!(c.scale(), cx.scale());
            b.assert_slots(&c, &with(&|x, y| x * y), tolerance);
            let mut c = cx.clone();
            c.mul_constant(-1.5, &neutral).unwrap();
            c.rescale().unwrap();
            b.assert_slots(&c, &with(&|x, _| -1.5 * x), tolerance);
        }
    }
}

fn bare(params: Params) -> Bench {
    let mut rng = StdRng::seed_from_u64(1);
    let secret = SecretKey::generate(&params, &mut rng);
    let light = Params::light();
    let relin = RelinKey::generate(&SecretKey::generate(&light, &mut rng), &mut rng).unwrap();
    Bench { params, rng, secret, relin }
}

#[test]
fn mismatches_name_both_sides() {
    let mut b = Bench::new(Params::medium());
    let x = b.encrypt(&[1.0], 2);
    let mut low = b.encrypt(&[1.0], 1);
    assert_eq!(x.add(&low).unwrap_err().to_string(), "levels 2 and 1 differ");
    assert_eq!(x.multiply(&low).unwrap_err(), Mismatch::Level { left: 2, right: 1 });
    let product = x.multiply(&x).unwrap();
    assert_eq!(product.add(&x).unwrap_err().to_string(), "scales 2^80 and 2^40 differ");
    assert_eq!(product.multiply(&x).unwrap_err(), Mismatch::Parts { found: 3, wanted: 2 });
    assert_eq!(x.relinearise(&b.relin).unwrap_err(), Mismatch::Parts { found: 2, wanted: 3 });
    low.drop_to(0).unwrap();
    assert_eq!(low.clone().rescale().unwrap_err(), Mismatch::NoLevel { found: 0, wanted: 1 });
    assert_eq!(low.drop_to(1).unwrap_err(), Mismatch::NoLevel { found: 0, wanted: 1 });
    let other = Bench::new(Params::light()).encrypt(&[1.0], 0);
    assert!(matches!(low.add(&other).unwrap_err(), Mismatch::Params { .. }));
    let none = GaloisKeys::default();
    assert_eq!(x.rotate(-1, &none).unwrap_err().to_string(), "there is no Galois key for a rotation by 4095");
}

#[test]
fn sums_and_dot_products() {
    let mut b = Bench::new(Params::medium());
    let n = b.params.slots();
    let keys = b.galois(GaloisKeys::sum_steps(n));
    let x = ramp(n);
    let c = b.encrypt(&x, 2);
    let total: f64 = x.iter().sum();
    b.assert_slots(&c.inner_sum(n, &keys).unwrap(), &vec![total; n], 1e-4);
    let eight: f64 = x[..8].iter().sum();
    b.assert_slots(&c.inner_sum(8, &keys).unwrap(), &[eight], 1e-6);
    let weights: Vec<f64> = (0..100).map(|i| f64::from(i) / 100.0).collect();
    let dot: f64 = weights.iter().zip(&x).map(|(a, b)| a * b).sum();
    b.assert_slots(&c.dot(&weights, &keys).unwrap(), &[dot], 1e-5);
    assert!(c.inner_sum(3, &keys).is_err());
}

#[test]
fn matrices_multiply() {
    let mut b = Bench::new(Params::medium());
    for d in [1, 2, 16, 32] {
        let rows: Vec<Vec<f64>> =
            (0..d).map(|i| (0..d).map(|j| ((i * 7 + j * 3) % 11) as f64 / 11.0 - 0.5).collect()).collect();
        let matrix = PlainMatrix::new(&b.params, &rows, 2).unwrap();
        let keys = b.galois(matrix.steps());
        let v = ramp(d);
        let c = b.encrypt(&PlainMatrix::repeat(&b.params, &v), 2);
        let product: Vec<f64> = rows.iter().map(|r| r.iter().zip(&v).map(|(a, b)| a * b).sum()).collect();
        let out = matrix.apply(&c, &keys).unwrap();
        assert_eq!(out.scale(), c.scale());
        b.assert_slots(&out, &PlainMatrix::repeat(&b.params, &product), 1e-6);
    }
    assert!(PlainMatrix::new(&b.params, &vec![vec![1.0; 3]; 3], 2).is_err());
    assert!(PlainMatrix::new(&b.params, &[vec![1.0, 2.0], vec![1.0]], 2).is_err());
}

#[test]
fn polynomials_evaluate_exactly_in_scale() {
    let mut b = Bench::new(Params::strong());
    let x = ramp(b.params.slots());
    let c = b.encrypt(&x, 6);
    for degree in [1, 2, 3, 5, 7, 8, 15, 31, 40] {
        let p = Polynomial::interpolate(degree, |x| (3.0 * x).sin() + x * x);
        let out = c.evaluate(&p, &b.params.scale(), &b.relin).unwrap();
        assert_eq!(out.level(), 6 - p.depth());
        assert_eq!(*out.scale(), b.params.scale());
        let wanted: Vec<f64> = x.iter().map(|&x| p.value(x)).collect();
        b.assert_slots(&out, &wanted, 1e-7);
    }
    let constant = c.evaluate(&Polynomial::from_chebyshev(&[0.5]), &b.params.scale(), &b.relin).unwrap();
    b.assert_slots(&constant, &[0.5; 10], 1e-9);
    let cube = Polynomial::from_monomials(&[0.0, 0.0, 0.0, 1.0]);
    let wanted: Vec<f64> = x.iter().map(|x| x.powi(3)).collect();
    b.assert_slots(&c.evaluate(&cube, &b.params.scale(), &b.relin).unwrap(), &wanted, 1e-8);
    let deep = Polynomial::interpolate(64, f64::exp);
    assert!(c.evaluate(&deep, &b.params.scale(), &b.relin).is_err());
}

#[test]
fn signs_approximate_under_encryption() {
    let mut b = Bench::new(Params::strong());
    let x = ramp(b.params.slots());
    let c = b.encrypt(&x, 6);
    let sign = Sign::coarse();
    let out = c.sign(&sign, &b.params.scale(), &b.relin).unwrap();
    assert_eq!(out.level(), 0);
    let wanted: Vec<f64> = x.iter().map(|&x| sign.value(x)).collect();
    b.assert_slots(&out, &wanted, 1e-6);
    assert!(c.max(&c, &sign, &b.params.scale(), &b.relin).is_err());
    let y: Vec<f64> = x.iter().map(|x| x * x * x).collect();
    let half: Vec<f64> = x.iter().map(|x| x / 2.0).collect();
    let (cy, ch) = (b.encrypt(&y, 6), b.encrypt(&half, 6));
    let out = ch.compare(&cy, &sign, &b.params.scale(), &b.relin).unwrap();
    let wanted: Vec<f64> = half.iter().zip(&y).map(|(a, b)| f64::midpoint(sign.value(a - b), 1.0)).collect();
    b.assert_slots(&out, &wanted, 1e-6);
}

/// Two curves of a full scale of 1, with ties, near ties and both ends among their slots: the larger and
/// the smaller, within 2^-9.8 of the full scale and so within 2^-8, in the 13 levels of the largest set.
#[test]
fn the_largest_set_takes_extremes_of_curves() {
    let mut b = Bench::new(Params::largest());
    let n = b.params.slots();
    let day = |i: usize, phase: f64| 0.5 + 0.5 * (i as f64 / 96.0 * std::f64::consts::TAU + phase).sin();
    let mut x: Vec<f64> = (0..n).map(|i| day(i, 0.0)).collect();
    let mut y: Vec<f64> = (0..n).map(|i| day(i, 1.0 + i as f64 / 999.0)).collect();
    let corners = [(0.0, 0.0), (1.0, 1.0), (0.0, 1.0), (1.0, 0.0), (0.3, 0.3)];
    let near = (0..2000).map(|i| (0.5, 0.5 + (f64::from(i) - 1000.0) / 1e5));
    for (i, pair) in corners.into_iter().chain(near).enumerate() {
        (x[i], y[i]) = pair;
    }
    let top = b.params.max_level();
    let (cx, cy) = (b.encrypt(&x, top), b.encrypt(&y, top));
    let (sign, scale) = (Sign::fine(), b.params.scale());
    assert_eq!(sign.depth() + 1, top);
    let bound = sign.extreme_error() * 1.001;
    assert!(bound < 2f64.powi(-8));
    let with = |f: fn(f64, f64) -> f64| x.iter().zip(&y).map(|(x, y)| f(*x, *y)).collect::<Vec<_>>();
    let max = cx.max(&cy, &sign, &scale, &b.relin).unwrap();
    assert_eq!((max.level(), max.scale()), (0, &scale));
    b.assert_slots(&max, &with(f64::max), bound);
    // Two levels fewer reach 2^-8 itself, and leave them to go on with.
    let sign = Sign::medium();
    let min = cx.min(&cy, &sign, &scale, &b.relin).unwrap();
    assert_eq!((min.level(), min.scale()), (2, &scale));
    b.assert_slots(&min, &with(f64::min), sign.extreme_error() * 1.001);
}

#[test]
fn statistics_are_those_of_the_values() {
    let mut b = Bench::new(Params::medium());
    let n = b.params.slots();
    let keys = b.galois(GaloisKeys::sum_steps(n));
    let x = ramp(n);
    let c = b.encrypt(&x, 2);
    let average = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let spread = |x: &[f64]| x.iter().map(|v| (v - average(x)).powi(2)).sum::<f64>() / x.len() as f64;
    for count in [1, 8, n] {
        b.assert_slots(&c.mean_of_slots(count, &keys).unwrap(), &[average(&x[..count])], 1e-7);
        b.assert_slots(&c.variance_of_slots(count, &keys, &b.relin).unwrap(), &[spread(&x[..count])], 1e-6);
    }
    let many: Vec<Vec<f64>> = (1..=7).map(|k| x.iter().map(|x| (x * f64::from(k)).sin()).collect()).collect();
    let encrypted: Vec<Ciphertext> = many.iter().map(|v| b.encrypt(v, 2)).collect();
    let column = |i: usize| many.iter().map(|v| v[i]).collect::<Vec<_>>();
    let means: Vec<f64> = (0..n).map(|i| average(&column(i))).collect();
    let variances: Vec<f64> = (0..n).map(|i| spread(&column(i))).collect();
    b.assert_slots(&mean(&encrypted).unwrap(), &means, 1e-7);
    b.assert_slots(&variance(&encrypted, &b.relin).unwrap(), &variances, 1e-6);
    assert!(mean(&[]).is_err());
}
