//! A line through a series of numbers, drawn with characters: what `ping --graph` and the `chart` of a summary show.
//!
//! The series is stretched to 60 columns by straight lines between its points, its values to 15 rows between the least and the greatest.
//! Labels stand left of the axis, as in the fleet's other tools, so that habits and scripts carry over.

use std::iter::repeat_n;

/// Columns the line runs through.
const COLUMNS: usize = 60;
/// Rows between the least and the greatest value.
const ROWS: f64 = 15.0;
/// Where the axis stands, in cells; the label is one cell, however wide.
const AXIS: usize = 4;

/// Draws a series, with a caption below where there is one. Empty for an empty series, or one with a number that is none.
pub(crate) fn draw(series: &[f64], caption: &str) -> String {
    if series.is_empty() || !series.iter().all(|value| value.is_finite()) {
        return String::new();
    }
    let line = stretched(series);
    let scale = Scale::of(&line);
    let mut canvas = scale.canvas();
    let heights: Vec<_> = line.iter().map(|value| scale.height(*value)).collect();
    canvas[scale.rows - heights[0]][AXIS] = "┼".to_owned();
    for (column, pair) in heights.windows(2).enumerate() {
        step(
            &mut canvas,
            scale.rows,
            AXIS + 1 + column,
            [pair[0], pair[1]],
        );
    }
    let mut out = String::new();
    for row in &canvas {
        out.push_str(row.concat().trim_end());
        out.push('\n');
    }
    if !caption.is_empty() {
        let indent = AXIS + 1 + scale.label_width() + (COLUMNS.saturating_sub(caption.len())) / 2;
        out.extend(repeat_n(' ', indent));
        out.push_str(caption);
        out.push('\n');
    }
    out
}

/// The series at [`COLUMNS`] evenly spaced points.
fn stretched(series: &[f64]) -> Vec<f64> {
    let gaps = series.len() - 1;
    let at = |column: usize| {
        // In whole numbers, so that a point of the series is met exactly.
        let place = column * gaps;
        let (before, rest) = (place / (COLUMNS - 1), place % (COLUMNS - 1));
        let from = series[before];
        let to = series.get(before + 1).copied().unwrap_or(from);
        from + (to - from) * (rest as f64 / (COLUMNS - 1) as f64)
    };
    (0..COLUMNS).map(at).collect()
}

/// From values to rows.
struct Scale {
    least: f64,
    greatest: f64,
    /// Rows for each 1 of value.
    ratio: f64,
    /// The topmost row; 0 is the lowest.
    rows: usize,
}

impl Scale {
    fn of(line: &[f64]) -> Self {
        let least = line.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = line.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let range = greatest - least;
        // A range too great for a number has no rows to speak of either.
        let ratio = if range > 0.0 && range.is_finite() {
            ROWS / range
        } else {
            1.0
        };
        let mut scale = Self {
            least,
            greatest,
            ratio,
            rows: usize::MAX,
        };
        scale.rows = scale.height(greatest);
        scale
    }

    /// The row of a value.
    fn height(&self, value: f64) -> usize {
        let rows = (value * self.ratio).round() - (self.least * self.ratio).round();
        // Rounding can add one to the fifteen; nothing else lies outside.
        let rows = rows.clamp(0.0, ROWS + 1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it was clamped to a few rows"
        )]
        let rows = rows as usize;
        rows.min(self.rows)
    }

    /// Digits behind the point of a label.
    fn precision(&self) -> usize {
        let magnitude = self.greatest.abs().max(self.least.abs());
        if magnitude == 0.0 || (1.0..=100.0).contains(&magnitude) {
            2
        } else if magnitude > 100.0 {
            0
        } else {
            // A small number shows its first digits too, up to a bound.
            let zeros = -magnitude.log10().floor();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it was clamped to a few digits"
            )]
            let zeros = zeros.clamp(0.0, 12.0) as usize;
            2 + zeros - 1
        }
    }

    fn label_width(&self) -> usize {
        let precision = self.precision();
        [self.greatest, self.least]
            .map(|value| format!("{value:.precision$}").len())
            .into_iter()
            .max()
            .unwrap_or(0)
    }

    /// An empty canvas: labels and the axis.
    fn canvas(&self) -> Vec<Vec<String>> {
        let (width, precision) = (self.label_width() + 1, self.precision());
        let row = |row: usize| {
            let value = if self.rows == 0 {
                self.least
            } else {
                self.greatest - row as f64 * (self.greatest - self.least) / self.rows as f64
            };
            let mut cells = vec![" ".to_owned(); AXIS + COLUMNS];
            let label = format!("{value:width$.precision$}");
            let at = (AXIS + 1).saturating_sub(label.len());
            cells[at.min(AXIS - 1)] = label;
            cells[AXIS] = "┤".to_owned();
            cells
        };
        (0..=self.rows).map(row).collect()
    }
}

/// Draws the line from one column to the next.
fn step(canvas: &mut [Vec<String>], rows: usize, column: usize, [from, to]: [usize; 2]) {
    let mut put = |height: usize, text: &str| text.clone_into(&mut canvas[rows - height][column]);
    if from == to {
        put(from, "─");
        return;
    }
    let (start, end) = if from > to {
        ("╮", "╰")
    } else {
        ("╯", "╭")
    };
    put(to, end);
    put(from, start);
    for height in from.min(to) + 1..from.max(to) {
        put(height, "│");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_line_is_as_the_recorded_one() {
        let recorded = include_str!("../../../testdata/choria-0.30.2/cli/ping_graph.txt");
        let graph = recorded.split_once("27ms\n\n").unwrap().1;
        let graph = graph.split_once("\n\n").unwrap().0;
        assert_eq!(draw(&[3.0], "Responses per 50ms"), format!("{graph}\n"));
    }

    #[test]
    fn a_curve() {
        insta::assert_snapshot!(draw(
            &[12.0, 250.0, 90.0, 4.0, 0.0, 1.0],
            "Responses per 50ms"
        ));
    }

    #[test]
    fn small_numbers() {
        insta::assert_snapshot!(draw(&[0.01, 0.02, 0.03], ""));
    }

    #[test]
    fn what_is_no_number_draws_nothing() {
        assert_eq!(draw(&[], "x"), "");
        assert_eq!(draw(&[1.0, f64::NAN], "x"), "");
        for odd in [
            &[f64::MAX, f64::MIN][..],
            &[f64::MIN_POSITIVE, 0.0],
            &[-5.0, 5.0],
            &[1e300; 100],
        ] {
            assert!(draw(odd, "x").lines().count() <= 18, "{odd:?}");
        }
    }
}
