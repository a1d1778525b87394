//! What templates are given: values by name, made of what the views hold by reference.

use minijinja::Value;

/// What can be given to a template.
pub(super) trait Shown {
    /// As a template sees it.
    fn shown(&self) -> Value;
}

/// Makes an object of names and what they are: `view! { name => set.name, count }`.
macro_rules! view {
    ($($name:ident $(=> $value:expr)?),* $(,)?) => {
        minijinja::Value::from_pairs([$((stringify!($name), view!(@one $name $($value)?))),*])
    };
    (@one $name:ident) => { $crate::site::view::Shown::shown(&$name) };
    (@one $name:ident $value:expr) => { $crate::site::view::Shown::shown(&$value) };
}
pub(super) use view;

impl<T: Shown + ?Sized> Shown for &T {
    fn shown(&self) -> Value {
        (**self).shown()
    }
}

impl<T: Shown> Shown for Option<T> {
    fn shown(&self) -> Value {
        self.as_ref().map_or_else(|| Value::from(()), T::shown)
    }
}

impl<T: Shown> Shown for [T] {
    fn shown(&self) -> Value {
        self.iter().map(T::shown).collect()
    }
}

impl<T: Shown> Shown for Vec<T> {
    fn shown(&self) -> Value {
        self.as_slice().shown()
    }
}

impl Shown for str {
    fn shown(&self) -> Value {
        Value::from(self)
    }
}

impl Shown for String {
    fn shown(&self) -> Value {
        Value::from(self.as_str())
    }
}

impl Shown for bool {
    fn shown(&self) -> Value {
        Value::from(*self)
    }
}

impl Shown for usize {
    fn shown(&self) -> Value {
        Value::from(*self)
    }
}

impl Shown for u64 {
    fn shown(&self) -> Value {
        Value::from(*self)
    }
}

impl Shown for Value {
    fn shown(&self) -> Value {
        self.clone()
    }
}
