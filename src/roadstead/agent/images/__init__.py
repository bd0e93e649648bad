"""Container images on this host: names, content store, unpacked layers, packing of new images."""
