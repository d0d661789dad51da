"""Image and ImageExport: disk image files on machines and image servers."""
