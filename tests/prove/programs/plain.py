"""A loop as a first tutorial has it: nothing of it knows of other processes."""

import torch

torch.manual_seed(0)
model = torch.nn.Linear(32, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(8):
    loss = torch.nn.functional.cross_entropy(model(torch.randn(4, 32)), torch.randint(2, (4,)))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print("trained")
