//! An act: functions of two groups' encrypted days, beside what plaintext arithmetic gives.

use std::fmt;

use protocol::levelled::function::Function;
use protocol::levelled::plan::Profile;

use super::report::table;
use crate::levelled::{Scene, Town, subject};

/// A released function beside its oracle.
#[derive(Clone, Debug)]
pub struct Row {
    /// The function.
    pub function: &'static str,
    /// How many homes it is a function of.
    pub homes: usize,
    /// The value shown: the largest of a curve's.
    pub value: f64,
    /// What plaintext arithmetic gives.
    pub plaintext: f64,
    /// The largest difference over all values.
    pub worst: f64,
    /// The standard deviation that was estimated, if one was: that of a variance over time depends on the mean, too.
    pub error: Option<f64>,
    /// The unit.
    pub unit: &'static str,
}

/// What the act showed.
#[derive(Clone, Debug)]
pub struct LevelledReport {
    /// Which parameters.
    pub profile: &'static str,
    /// The rows.
    pub rows: Vec<Row>,
}

/// Plays the act with so many homes in each of two groups, under these parameters; `say` is told what goes on. Maxima and minima take
/// [`Profile::Largest`], and a minute.
///
/// # Errors
///
/// If a role can't go on, or a value is further off than six estimated deviations.
pub fn run(profile: Profile, group: usize, say: impl Fn(&str)) -> anyhow::Result<LevelledReport> {
    say("Mode levelled: making a collective key");
    let mut town = Town::new(Scene::quiet(profile, 2, group)?, ())?;
    let key = town.make_key()?;
    say("Mode levelled: meters encrypt their days");
    town.measure();
    town.deliver()?;
    let curves = [1, 2].map(|of| sums(town.loads(of)));
    let one = curves[0].clone();
    let loads = town.loads(1).to_vec();
    #[expect(clippy::cast_precision_loss, reason = "a few homes")]
    let count = group as f64;
    let mut cases = vec![
        (Function::Sum, vec![1], one.clone(), "Wh"),
        (Function::Mean, vec![1], one.iter().map(|sum| sum / count).collect(), "Wh"),
    ];
    if profile != Profile::Light {
        let prices: Vec<u32> = (0..96).map(|t| if (64..84).contains(&t) { 50_000 } else { 30_000 }).collect();
        let revenue = one.iter().zip(&prices).map(|(sum, price)| sum * f64::from(*price)).sum();
        let model: Vec<i32> = (0..96).map(|t: i32| 20 * t).collect();
        let forecast = one.iter().zip(&model).map(|(sum, w)| sum * f64::from(*w) / 65_536.0).sum();
        let spread =
            (0..96).map(|t| moments(&loads.iter().map(|home| energy(home[t])).collect::<Vec<_>>())[1]);
        cases.push((Function::Variance, vec![1], spread.collect(), "Wh²"));
        cases.push((Function::TimeVariance, vec![1], moments(&one).to_vec(), "Wh²"));
        cases.push((Function::Weighted(prices), vec![1], vec![revenue], "USD"));
        cases.push((Function::Forecast(model), vec![1], vec![forecast], "Wh"));
    }
    if profile == Profile::Largest {
        let pairs = || one.iter().zip(&curves[1]);
        cases.push((Function::Max, vec![1, 2], pairs().map(|(a, b)| a.max(*b)).collect(), "Wh"));
        cases.push((Function::Min, vec![1, 2], pairs().map(|(a, b)| a.min(*b)).collect(), "Wh"));
    }
    let mut rows = Vec::new();
    for (function, groups, plaintext, unit) in cases {
        let homes = groups.len() * group;
        let name = function.name();
        say(&format!("Mode levelled: computing the {name} under encryption"));
        let finding = {
            let subjects: Vec<_> = groups.iter().map(|group| subject(*group, 0)).collect();
            town.find(key, &function, &subjects)?
        };
        let mut row = |function, values: &[f64], plaintext: &[f64], error: Option<f64>, unit| {
            // prices are in 10^−8 of the currency
            let scale = if unit == "USD" { 1e-8 } else { 1.0 };
            let differences = values.iter().zip(plaintext).map(|(value, wanted)| (value - wanted).abs());
            let worst = differences.fold(0.0, f64::max);
            let largest = |values: &[f64]| values.iter().copied().fold(f64::MIN, f64::max);
            let (value, plaintext) = (scale * largest(values), scale * largest(plaintext));
            let (worst, error) = (scale * worst, error.map(|error| scale * error));
            rows.push(Row { function, homes, value, plaintext, worst, error, unit });
        };
        if let (Function::TimeVariance, [mean, variance]) = (&finding.function, &finding.values[..]) {
            row("mean over time", &[*mean], &plaintext[..1], Some(finding.error), "Wh");
            row(name, &[*variance], &plaintext[1..], None, unit);
        } else {
            row(name, &finding.values, &plaintext, Some(finding.error), unit);
        }
    }
    Ok(LevelledReport { profile: profile.name(), rows })
}

#[expect(clippy::cast_precision_loss, reason = "energies are below 2^16")]
fn energy(watt_hours: i64) -> f64 {
    watt_hours as f64
}

fn sums(loads: &[Vec<i64>]) -> Vec<f64> {
    (0..loads[0].len()).map(|t| loads.iter().map(|home| energy(home[t])).sum()).collect()
}

/// Mean and population variance.
fn moments(values: &[f64]) -> [f64; 2] {
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    [mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count]
}

impl fmt::Display for LevelledReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "MODE LEVELLED (profile {}): computed under encryption, opened by 2 of 4", self.profile)?;
        writeln!(
            f,
            "  Caution: this mode trusts meters to encrypt honestly. A crafted ciphertext can\n  \
             read the aggregators' secret. Use it only with meters whose software you\n  \
             control (docs/levelled.md), and the share path for bills and curves otherwise."
        )?;
        let row = |row: &Row| {
            let error = row.error.map_or_else(|| "-".to_owned(), |error| format!("{error:.2}"));
            let Row { function, value, plaintext, worst, unit, .. } = row;
            vec![
                (*function).to_owned(),
                (*unit).to_owned(),
                format!("{value:.2}"),
                format!("{plaintext:.2}"),
                format!("{worst:.2}"),
                error,
            ]
        };
        let header = ["function", "unit", "decrypted", "plaintext", "worst error", "est. σ"];
        write!(f, "{}", table(&header, 2, self.rows.iter().map(row)))?;
        let homes = self.rows.first().map_or(0, |row| row.homes);
        writeln!(f, "  Each is of {homes} homes; of a curve, the largest value is shown.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The act shows what the oracle says.
    #[test]
    fn decrypted_values_are_the_plaintexts() {
        let report = run(Profile::Medium, 3, |_| ()).unwrap();
        assert_eq!(report.rows.len(), 7);
        for row in &report.rows {
            // a variance over time is off by what twice the mean makes of the mean's error, and by the squares' own
            let error = row.error.unwrap_or(row.plaintext / 1_000.0);
            assert!(row.worst < 6.0 * error, "{report}");
        }
        assert!(report.to_string().contains("trusts meters to encrypt honestly"));
    }
}
