"""What outlives a power cut: flash and the small memory, torn as physics tears them."""
