//! Once everything is mended, every shop comes to rest.

use super::seen::Seen;
use super::{Finds, at};

pub fn judge(seen: &Seen<'_>) -> Finds {
    let mut finds = Finds::default();
    for (shop, rest) in seen.ended.at_rest_us.iter().enumerate() {
        if rest.is_none() {
            finds.add(|| {
                format!(
                    "shop {shop}: all was mended at {} and it had not come to rest at {}",
                    at(seen.ended.healed_us),
                    at(seen.ended.virtual_us)
                )
            });
        }
    }
    finds
}

#[cfg(test)]
mod tests {
    use super::super::Promise::Stalled;
    use super::super::hand::Hand;

    #[test]
    fn a_shop_that_comes_to_rest_is_well() {
        Hand::new().holds();
    }

    #[test]
    fn a_shop_that_never_comes_to_rest_is_found() {
        Hand::new().restless().breaks(Stalled, 1);
        Hand::new().restless().says(Stalled, "shop 0: all was mended at");
    }
}
