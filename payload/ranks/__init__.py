"""What makes many processes one training: who trains what, averages, agreement, predictions."""
