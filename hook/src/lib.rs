//! How is it given?
