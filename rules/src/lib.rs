//! What should the answer be?
