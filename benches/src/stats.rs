//! Medians and quartiles.

/// The middle of a set of figures and its spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    /// The median.
    pub(crate) median: f64,
    /// The first quartile.
    pub(crate) low: f64,
    /// The third quartile.
    pub(crate) high: f64,
}

/// Sums up figures.
///
/// # Panics
/// When there are none.
pub(crate) fn summarise(mut figures: Vec<f64>) -> Summary {
    assert!(!figures.is_empty(), "nothing was measured");
    figures.sort_by(f64::total_cmp);
    Summary {
        median: quantile(&figures, 0.5),
        low: quantile(&figures, 0.25),
        high: quantile(&figures, 0.75),
    }
}

/// Between the two nearest figures, in proportion.
fn quantile(sorted: &[f64], at: f64) -> f64 {
    let place = at * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = place.ceil() as usize;
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

#[cfg(test)]
mod tests {
    use super::summarise;

    #[test]
    fn sums_up_in_any_order() {
        let summary = summarise(vec![5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!((summary.low, summary.median, summary.high), (2.0, 3.0, 4.0));
    }

    #[test]
    fn stands_between_two() {
        assert_eq!(summarise(vec![1.0, 2.0]).median, 1.5);
    }
}
