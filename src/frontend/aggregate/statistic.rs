//! The functions of counts, means and sums of products of deviations, and how each is made of those.

/// Products of sums of squares that have lost no digits to underflow, nor have become infinite.
pub const PRODUCTS_IN_RANGE: (f64, f64) = (1e-290, 1e300);

/// Functions of moments, as DataFusion names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Statistic {
    VarianceSample,
    VariancePopulation,
    DeviationSample,
    DeviationPopulation,
    CovarianceSample,
    CovariancePopulation,
    Correlation,
    Slope,
    Intercept,
    Count,
    R2,
    AverageX,
    AverageY,
    Sxx,
    Syy,
    Sxy,
}

/// The moments of a group of rows. With one argument x and y are the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Rows without NULL.
    pub count: i64,
    pub mean_x: f64,
    pub mean_y: f64,
    /// Sums of products of deviations from the means.
    pub sxx: f64,
    pub syy: f64,
    pub sxy: f64,
}

impl Statistic {
    /// By the function's name in DataFusion.
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "var" => Self::VarianceSample,
            "var_pop" => Self::VariancePopulation,
            "stddev" => Self::DeviationSample,
            "stddev_pop" => Self::DeviationPopulation,
            "covar_samp" => Self::CovarianceSample,
            "covar_pop" => Self::CovariancePopulation,
            "corr" => Self::Correlation,
            "regr_slope" => Self::Slope,
            "regr_intercept" => Self::Intercept,
            "regr_count" => Self::Count,
            "regr_r2" => Self::R2,
            "regr_avgx" => Self::AverageX,
            "regr_avgy" => Self::AverageY,
            "regr_sxx" => Self::Sxx,
            "regr_syy" => Self::Syy,
            "regr_sxy" => Self::Sxy,
            _ => return None,
        })
    }

    /// Number of arguments: with two, the first is y.
    pub fn arguments(self) -> usize {
        match self {
            Self::VarianceSample | Self::VariancePopulation | Self::DeviationSample | Self::DeviationPopulation => 1,
            _ => 2,
        }
    }

    /// The value over rows with these moments; `None` is NULL. Not for [`Statistic::Count`], which is an integer.
    pub fn value(self, moments: &Summary) -> Option<f64> {
        let Summary { count, mean_x, mean_y, sxx, syy, sxy } = *moments;
        let n = count as f64;
        let at_least = |rows: i64, value: f64| (count >= rows).then_some(value);
        match self {
            Self::VarianceSample => at_least(2, sxx / (n - 1.0)),
            Self::DeviationSample => at_least(2, (sxx / (n - 1.0)).sqrt()),
            Self::VariancePopulation => at_least(1, sxx / n),
            Self::DeviationPopulation => at_least(1, (sxx / n).sqrt()),
            Self::CovarianceSample => at_least(2, sxy / (n - 1.0)),
            Self::CovariancePopulation => at_least(1, sxy / n),
            Self::Sxx => at_least(1, sxx),
            Self::Syy => at_least(1, syy),
            Self::Sxy => at_least(1, sxy),
            Self::AverageX => at_least(1, mean_x),
            Self::AverageY => at_least(1, mean_y),
            Self::Count => at_least(0, n),
            Self::Slope => at_least(2, sxy / sxx).filter(|_| sxx != 0.0),
            Self::Intercept => at_least(2, mean_y - sxy / sxx * mean_x).filter(|_| sxx != 0.0),
            Self::R2 => at_least(2, sxy / sxx * sxy / syy).filter(|_| sxx != 0.0 && syy != 0.0),
            Self::Correlation => {
                // One root is rounded less, where the product is in range.
                let (product, (from, to)) = (sxx * syy, PRODUCTS_IN_RANGE);
                let in_range = (from..=to).contains(&product);
                let scale = if in_range { product.sqrt() } else { sxx.sqrt() * syy.sqrt() };
                at_least(2, (sxy / scale).clamp(-1.0, 1.0)).filter(|_| scale != 0.0)
            }
        }
    }
}
