"""What Lightning needs: the module, the data module, the callbacks."""
