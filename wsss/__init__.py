"""wsss: image tags in, pixel masks out, as a reproducible pipeline."""
