"""What retention may remove, and the watermark that it leaves behind."""
